"""The errors that reach a person: a sentence on what is wrong, and one on what to do."""


class SpellmarkError(Exception):
    """Bad input or a failed step, told so that its reader can act on it.

    `message` says what is wrong, `hint` what to do next. Neither ever holds a secret.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()
