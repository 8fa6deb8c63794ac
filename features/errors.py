"""Errors that the user can mend: the command line prints them and exits with 2."""

__all__ = ["InputError", "NotEnoughDataError", "SchemaError"]


class InputError(Exception):
    """The input or the configuration is wrong.

    Args:
        message: What was found and where: file, column, row.
        hint: What to do about it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class SchemaError(InputError):
    """A table does not have the columns or types that it needs."""


class NotEnoughDataError(InputError):
    """The history is too short or too thin for what was asked."""
