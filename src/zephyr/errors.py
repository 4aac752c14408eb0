"""The one error a user is meant to read: it is shown without a traceback."""


class UserError(Exception):
    """Something the user can mend: says where, what was found, what was expected, and the ways out."""

    rank_specific = False
    """Whether only the process that met it knows of it; otherwise rank 0 alone prints it."""
