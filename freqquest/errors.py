"""The error that a job prints as one clear line, without a traceback."""


class UserError(ValueError):
    """Input or settings that cannot work; the text says what, where, and what to do about it."""
