"""Where what may be made again is kept: prepared data, answers of language models, reference log-probabilities."""

import os
from pathlib import Path


def cache_root(cache: Path | None = None) -> Path:
    """The directory given, $ZEPHYR_CACHE, or ~/.cache/zephyr."""
    return cache or Path(os.environ.get("ZEPHYR_CACHE") or Path.home() / ".cache" / "zephyr")
