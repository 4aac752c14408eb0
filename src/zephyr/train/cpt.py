"""Continued pretraining on plain text, from a published model or from a random one: dSFT's trainer, other rows."""

from zephyr.train.sft import run

__all__ = ["run"]
