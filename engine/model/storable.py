"""What texts a store takes. Pure."""

from chinwag.engine.model.errors import Invalid


def refuse_unstorable(text: str, field: str = "text") -> None:
    """Raise `Invalid` for what no store takes: the NUL character, and lone surrogates."""
    if "\0" in text:
        raise Invalid(field, "must not contain the NUL character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Invalid(field, "is not valid Unicode") from None
