"""Mistakes a person can correct."""


class UserError(ValueError):
    """A mistake in a command, a settings file or a result. Its text is one line that says what was wrong, where, and
    what is allowed; the command line prints it alone and exits with status 2."""
