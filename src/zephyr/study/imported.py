"""Imports what runs of most stages need. For the server of `process.py` alone: nothing else imports this module."""

import contextlib
import os
import sys

from zephyr.processes import prepare_environment

with contextlib.suppress(ModuleNotFoundError):  # an extra that is not installed: the run that needs it says so
    said = os.dup(2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what libraries say as they are imported is the runs' to show
    try:
        prepare_environment()
        import zephyr.evaluate.generate
        import zephyr.evaluate.stage
        import zephyr.train.cpt
        import zephyr.train.dpo
        import zephyr.train.sft  # noqa: F401
    finally:
        sys.stderr.flush()
        os.dup2(said, 2)
        os.close(said)
