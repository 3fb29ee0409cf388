"""The one exception that a person's own mistake raises."""


class UserError(ValueError):
    """A mistake of the user's: its text is one line that says what was wrong, where, and what to do.

    Entry points print that line without a traceback and exit with a non-zero status.
    """
