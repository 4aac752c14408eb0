"""Where a study lives: the directory of its file, or one of its own where the command line makes it another study."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

from zephyr.recipe import Loaded
from zephyr.recipe.loaded import is_science, plain
from zephyr.recipe.overrides import key_of, place
from zephyr.study.checks import takes_effect


def in_its_place(loaded: Loaded, everywhere: Sequence[str], runs: Iterable[Loaded]) -> Loaded:
    """The study, with a directory of its own where overrides make it another than its file's.

    Args:
        loaded: the study's recipe.
        everywhere: overrides for every recipe of every row; those that change no figure (`launch.*`) don't count.
        runs: every run of the study.
    """
    runs, named = list(runs), loaded.origins.get("output_dir")
    counted = [each for each in everywhere if _is_science(each, runs)]
    if (not loaded.overrides and not counted) or (named is not None and named.override is not None):
        return loaded
    text = json.dumps([loaded.run_id, counted])
    identity = hashlib.sha256(text.encode()).hexdigest() if counted else loaded.run_id
    own = f"-{identity[:8]}"
    if loaded.run_dir.name.endswith(own):  # read from there
        return loaded
    return replace(loaded, run_dir=loaded.run_dir.with_name(loaded.run_dir.name + own))


def _is_science(override: str, runs: Sequence[Loaded]) -> bool:
    """Whether an override changes what one of the runs that took it computes."""
    key = key_of(override)
    return any(
        takes_effect(each, override) and is_science(plain(each.recipe), place(each.recipe.stage, key, override))
        for each in runs
    )
