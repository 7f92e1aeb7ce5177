"""Secrets as people paste them: with a line end that nobody meant, in quotes, with letters that look like others."""

_BLANK = " \t\r\n\v\f\ufeff\u200b\u00a0"


def fitted(text: str) -> str:
    """Return a secret without what stands around it by mistake. Raises ValueError with the reason for one that cannot be meant.

    What has several lines, or is an object, is a document (a key in PEM form, the JSON of an account) and stays as it is inside.
    """
    text = text.strip(_BLANK)
    if "\n" in text or text.startswith("{"):
        return text
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`“”":
        raise ValueError("it is in quotes; enter it without them")
    for at, character in enumerate(text, 1):
        if not character.isascii():
            raise ValueError(
                f"its character {at} is not ASCII: a letter that looks like another, or one a word processor made?"
            )
        if not character.isprintable():
            raise ValueError(f"its character {at} is a control character")
    return text
