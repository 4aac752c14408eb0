import io
from pathlib import Path

from rich.console import Console

from zephyr.report.contents import contents
from zephyr.report.read import read_chain
from zephyr.report.terminal import summary


def printed(directories, width=80):
    stream = io.StringIO()
    report = contents("t", read_chain(directories))
    summary(report, Console(file=stream, width=width, color_system=None), Path("outputs/mini/report/report.html"))
    return stream.getvalue()


def test_table_verdicts_caution_warning_and_path_fit_80_columns_without_colour(runs):
    text = printed([runs["evaluate"]])
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "dDPO + dSFT over dSFT +0.31 −0.05 to 0.67 40 not separable" in lines
    assert "dSFT over base +4.70 4.20 to 5.20 40 separable" in lines
    assert "What dDPO gains in the mini world is behaviour that the world put in, not" in text
    assert "mini/dpo: Collapse: the chosen answers lost 0.61 nats a token." in lines
    assert "Report: outputs/mini/report/report.html" in lines


def test_seeds_are_printed_as_their_sum_only(seeds):
    lines = [" ".join(line.split()) for line in printed(seeds).splitlines()]
    assert "dDPO + dSFT over dSFT +0.41 0.16 to 0.66 3 separable" in lines
    assert sum("over base" in line for line in lines) == 2


def test_training_runs_alone_are_printed_with_their_losses(runs):
    text = printed([runs["dpo"]])
    assert max(map(len, text.splitlines())) <= 80
    row = next(" ".join(line.split()) for line in text.splitlines() if "mini/dpo 1" in " ".join(line.split()))
    assert row.startswith("mini/dpo 110 81,234 0.693 → 0.") and row.endswith("0.693 → 0.570 1 min 24 s")


def test_a_long_path_is_not_broken(runs):
    stream = io.StringIO()
    path = Path("/a" * 60) / "report.html"
    summary(contents("t", read_chain([runs["dpo"]])), Console(file=stream, width=80, color_system=None), path)
    assert str(path) in stream.getvalue()
