"""Data: from a recipe's sources to what its trainer is given. No torch, no transformers."""

from zephyr.data.counts import Counts, UnusableRow
from zephyr.data.prepare import Prepared, prepare, stored

__all__ = ["Counts", "Prepared", "UnusableRow", "prepare", "stored"]
