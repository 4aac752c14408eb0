"""`zephyr status`: every row at a glance."""

import io
from pathlib import Path

from rich.console import Console
from tests.test_run import finished

from zephyr.recipe import load
from zephyr.study.expand import expand
from zephyr.study.status import show_status


def said(folder: Path) -> str:
    """What is shown of the study in a folder."""
    text = io.StringIO()
    study = expand(load(folder / "study.yaml"), outputs=folder / "outputs")
    show_status(study, Console(file=text, width=100))
    return text.getvalue()


def test_rows_say_what_is_finished_and_what_of_it_is_out_of_date(tiny: Path) -> None:
    (tiny / "study.yaml").write_text(
        "stage: study\ntitle: Small\nrows: {dSFT: {recipe: sft.yaml}, dDPO: {recipe: dpo.yaml}}\n"
    )
    assert "Small  3 runs: 3 waiting" in said(tiny)
    for stage in ("cpt", "sft"):
        finished(tiny / f"{stage}.yaml", tiny / "outputs")
    shown = said(tiny)
    assert "3 runs: 2 finished, 1 waiting" in shown and "out of date" not in shown
    assert [line.split()[:3] for line in shown.splitlines()[-2:]] == [
        ["dSFT", "2/2", "finished"],
        ["dDPO", "2/3", "waiting"],
    ]
    (tiny / "text.jsonl").write_text('{"text": "another"}\n')
    assert "2 of the finished runs are out of date" in said(tiny)


def test_a_run_half_way_says_that_its_data_have_changed(tiny: Path) -> None:
    (tiny / "study.yaml").write_text("stage: study\ntitle: Small\nrows: {dSFT: {recipe: sft.yaml}}\n")
    directory = finished(tiny / "sft.yaml", tiny / "outputs").run_dir
    (directory / "result.json").unlink()
    (directory / "checkpoints").mkdir()
    assert "half way" not in said(tiny)
    (tiny / "chat.jsonl").write_text("{}\n")
    shown = " ".join(said(tiny).split())
    assert f"{directory} is half way, and {tiny / 'chat.jsonl'} has changed since it began: put that back" in shown
