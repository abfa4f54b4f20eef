"""What every page is made of: its frame with style and script, text as HTML, tables. Every text goes through `text`."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Final

from chinwag.http.api.values import NO_REFERRER, NOSNIFF, FixedHeaders

_CODE: Final = re.compile(r"`([^`]+)`")
_FILES: Final = files("chinwag.http.web")
_STYLE: Final = _FILES.joinpath("page.css").read_text("utf-8")
DOCS_SCRIPT: Final = _FILES.joinpath("docs.js").read_text("utf-8")


def _digest(source: str) -> str:
    """The source expression by which a policy lets in exactly this text."""
    return f"'sha256-{b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


PAGE_HEADERS: Final = FixedHeaders(
    NOSNIFF,
    NO_REFERRER,
    (
        "content-security-policy",
        f"default-src 'none'; style-src {_digest(_STYLE)}; script-src {_digest(DOCS_SCRIPT)}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)
"""The pages carry their own style and script and talk to this server alone."""


def page(title: str, body: str, *, script: str = "") -> bytes:
    """A whole document. `body` is HTML, `script` is `DOCS_SCRIPT` or nothing: `PAGE_HEADERS` allow no other."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}"
        f"{f'<script>{script}</script>' if script else ''}</body></html>"
    ).encode()


def text(plain: str) -> str:
    """Text as HTML, with `code` between backticks shown as such."""
    return _CODE.sub(r"<code>\1</code>", escape(plain))


def paragraphs(plain: str) -> str:
    """Text with empty lines between its paragraphs as HTML."""
    return "".join(f"<p>{text(each)}</p>" for each in plain.split("\n\n") if each.strip())


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """`heads` are text, the cells HTML already."""
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
