"""A study's table and page, made of what there is of its runs."""

from zephyr.study.report.write import show, write_report

__all__ = ["show", "write_report"]
