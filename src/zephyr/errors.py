"""The one error a user is meant to read: it is shown without a traceback."""


class UserError(Exception):
    """Something the user can mend: says where, what was found, what was expected, and the ways out."""

    rank_specific = False
    """Whether only the process that met it knows of it; otherwise rank 0 alone prints it."""


class Interrupted(Exception):
    """A run that was asked to stop, and did with a checkpoint: the same command continues it."""

    def __init__(self, step: int, steps: int) -> None:
        super().__init__(f"stopped at step {step} of {steps} with a checkpoint; the same command continues")


class Until(Interrupted):
    """A run that did the steps it was asked for (`until`) and has more to do: no failure."""

    def __init__(self, said: str) -> None:
        Exception.__init__(self, said)


REFUSED = "ZEPHYR_REFUSED"
"""Environment variable: the file into which a run writes why it gave up, for the study that started it."""
