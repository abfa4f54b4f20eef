"""Close reasons: clients are written by their codes, so a code, its group and the documentation stay as they are."""

import re
from pathlib import Path

from chinwag.engine.connections.close_reasons import CloseReason

DOCUMENTATION = Path(__file__).resolve().parents[3] / "docs/operations.md"


def test_codes_are_in_two_groups() -> None:
    assert {reason.code for reason in CloseReason if reason.reconnect} == {1011, 1012, 4408, 4410}
    assert {reason.code for reason in CloseReason if not reason.reconnect} == {1002, 1007, 1009, 4401, 4403, 4409, 4429}


def test_no_two_reasons_share_a_code() -> None:
    assert len({reason.code for reason in CloseReason}) == len(CloseReason)


def test_the_words_fit_into_a_close_frame() -> None:
    assert all(len(reason.text.encode()) <= 123 for reason in CloseReason)


def test_each_is_documented_with_its_group() -> None:
    rows = re.findall(r"^\| (\d{4}) \| .* \| (yes|no)\b.* \|$", DOCUMENTATION.read_text(), re.MULTILINE)
    assert {(int(code), answer == "yes") for code, answer in rows} == {
        (reason.code, reason.reconnect) for reason in CloseReason
    }
