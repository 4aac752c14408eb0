"""The command that runs a study as it was read."""

import shlex

from zephyr.run import shown
from zephyr.study.expand import Study


def command_of(study: Study) -> str:
    """`zephyr run STUDY` with the overrides, `--everywhere` and `--outputs` that the study was read with."""
    words = ["zephyr", "run", str(shown(study.loaded.file)), *study.loaded.overrides]
    for each in study.everywhere:
        words += ["--everywhere", each]
    if study.outputs is not None:
        words += ["--outputs", str(shown(study.outputs))]
    return shlex.join(words)
