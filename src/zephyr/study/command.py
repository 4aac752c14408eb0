"""The command that runs a study as it was read."""

import shlex
from collections.abc import Sequence

from zephyr.recipe.load import outputs_root
from zephyr.recipe.problems import shown
from zephyr.study.expand import Study


def command_of(study: Study, options: Sequence[str] = ()) -> str:
    """`zephyr run STUDY` with the overrides, `--everywhere` and `--outputs` that the study was read with.

    Args:
        study: the study; one that was read from its directory is named by that.
        options: what else is said: `--jobs 2`.
    """
    words = ["zephyr", "run"]
    if study.reopened:
        words.append(str(shown(study.loaded.run_dir)))
    else:
        words += [str(shown(study.loaded.file)), *study.loaded.overrides]
        for each in study.everywhere:
            words += ["--everywhere", each]
        if study.outputs is not None and study.outputs.resolve() != outputs_root():
            words += ["--outputs", str(shown(study.outputs))]
    return shlex.join([*words, *options])
