"""What persistence says before there is a store. Once it is open, it speaks the engine's errors alone."""


class CannotOpen(Exception):
    """The store could not be opened; `message` is one line, fit for stderr. Nothing was changed.

    Raised for a folder that cannot be written, a file that is no chinwag database, a database written by newer code or
    served by another process, and a SQLite library too old to be trusted. Starting again will not help by itself.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
