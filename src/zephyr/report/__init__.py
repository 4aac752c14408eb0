"""One page, one table: what ran, with what, what came out, and the paper beside it."""

from zephyr.report.contents import Contents, contents
from zephyr.report.model_card import model_card
from zephyr.report.read import Chain, Run, read_chain, read_run
from zephyr.report.stage import report_directory
from zephyr.report.terminal import summary

__all__ = [
    "Chain",
    "Contents",
    "Run",
    "contents",
    "model_card",
    "read_chain",
    "read_run",
    "report_directory",
    "summary",
]
