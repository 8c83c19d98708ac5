"""Text that strangers wrote: whether it is text at all, and how to quote it."""


def shown(text: str, most: int = 80) -> str:
    """`text` made safe to quote: printable, on one line, at most `most` characters.

    Tensor names and error pages reach terminals, logs and reports, where control characters
    could rewrite the lines around them.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * most]).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def is_unicode(text: str) -> bool:
    """Whether `text` can be written as UTF-8, which lone surrogates cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
