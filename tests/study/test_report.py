"""A study's page, Markdown, JSON, CSV and terminal, which all say the same."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console
from tests.browser import CHROMIUM, chromium, measured
from tests.made_study import begin, finish, made_up
from tests.test_run import finished

from zephyr.recipe import load
from zephyr.study.expand import Study, expand
from zephyr.study.report import show, write_report
from zephyr.study.report.page import NO_PICTURES
from zephyr.study.report.write import broken

STUDY = """\
rows:
  dSFT: {recipe: sft.yaml}
  there <already>: {model: someone/model}
grid: {beta: [0.01, 0.1, 1.0]}
evaluate: evaluate.yaml
columns: [world/score, world/win_rate, eval_loss]
curves: [loss, eval_rewards/accuracies]
"""
GRID = """\
grid: {sft.num_train_epochs: [1, 2, 3], train.num_train_epochs: [0, 1, 2, 3]}
labels: {sft.num_train_epochs: dSFT, train.num_train_epochs: dDPO}
evaluate: evaluate.yaml
paper: figure 3
"""


def skill(row: str, seed: int | None) -> float | None:
    return None if row == "beta 1" else 5.0 + len(row) / 10 + 0.1 * (seed or 0)


@pytest.fixture
def study(tiny: Path) -> Study:
    """With a row that failed."""
    found = made_up(tiny, STUDY)
    finish(found, skill)
    failed = begin(next(row for row in found.rows if row.name == "beta 1").cells[0].model)
    (failed / "failed.json").write_text(json.dumps({"why": "ValueError: no rows", "status": 1}))
    return found


def shown(study: Study, width: int) -> str:
    written = io.StringIO()
    show(study, Console(file=written, width=width))
    return written.getvalue()


def read(study: Study) -> tuple[str, str, dict, list[dict[str, str]]]:
    """Page, Markdown, JSON and CSV."""
    page = write_report(study)
    folder = page.parent
    rows = list(csv.DictReader((folder / "table.csv").open()))
    return page.read_text(), (folder / "report.md").read_text(), json.loads((folder / "report.json").read_text()), rows


def test_all_outputs_say_the_same(study: Study) -> None:
    page, text, data, rows = read(study)
    said = shown(study, 100)
    figure = next(row for row in data["rows"] if row["name"] == "beta 0.1")["figures"]["world/score"]
    line = next(row for row in rows if (row["row"], row["column"]) == ("beta 0.1", "world/score"))
    assert [float(line[key]) for key in ("value", "low", "high")] == [figure["value"], *figure["interval"]]
    over = next(row for row in rows if row["row"] == "beta 0.1" and row["column"] == "world/score over dSFT")
    assert float(over["value"]) == figure["over_base"]["difference"]
    for number in (f"{figure['value']:.2f}", f"+{figure['over_base']['difference']:.2f}"):
        assert number in page and number in text and number in said
    assert figure["over_base"]["separable"] is True and "separable" in said


def test_a_failed_row_is_shown_as_that_everywhere(study: Study) -> None:
    page, text, data, rows = read(study)
    row = next(row for row in data["rows"] if row["name"] == "beta 1")
    assert row["state"] == "failed" and "ValueError: no rows" in row["why"]
    assert row["figures"]["world/score"]["value"] is None
    assert {each["state"] for each in rows if each["row"] == "beta 1"} == {"failed"}
    assert {each["value"] for each in rows if each["row"] == "beta 1"} == {""}
    for said in (page, text, " ".join(shown(study, 100).split())):
        assert "ValueError: no rows" in said
    assert "4 of 5 rows finished, 1 failed." in page


def test_a_model_that_was_there_has_no_training(study: Study) -> None:
    _, text, data, _ = read(study)
    row = next(row for row in data["rows"] if row["name"] == "there <already>")
    assert row["figures"]["eval_loss"]["value"] is None and row["figures"]["world/score"]["value"] is not None
    assert row["state"] == "finished"
    assert "there \\<already>" in text


def test_a_study_of_which_nothing_ran(tiny: Path) -> None:
    study = made_up(tiny, STUDY + "paper: table 3\n")
    page, _, data, rows = read(study)
    assert "0 of 5 rows finished, 5 waiting." in page
    assert all(row["state"] == "waiting" for row in data["rows"]) and len(rows) == 15
    assert "waiting" in shown(study, 80)


def test_seeds_are_in_the_csv_one_by_one_and_as_their_mean(tiny: Path) -> None:
    study = made_up(tiny, STUDY, "seeds=[1, 2, 3]")
    finish(study, skill)
    page, _, data, rows = read(study)
    own = {row["seed"]: row for row in rows if (row["row"], row["column"]) == ("dSFT", "world/score")}
    assert list(own) == ["1", "2", "3", "mean"]
    values = [float(own[seed]["value"]) for seed in "123"]
    assert float(own["mean"]["value"]) == pytest.approx(sum(values) / 3) and own["mean"]["n"] == "3"
    by_category = next(table for table in data["tables"] if table["title"] == "Score by category")
    assert "beta 1" not in by_category["columns"] and "dSFT" in by_category["columns"]
    assert "answers with seed 1" in page


def test_samples_have_a_prompt_of_each_category_and_every_row(study: Study) -> None:
    _, text, _, _ = read(study)
    samples = text.partition("## Samples")[2].partition("## Runs")[0]
    assert re.findall(r"^### (\w+): prompt-\d+", samples, re.MULTILINE) == ["math", "writing"]
    assert samples.count("\nthere <already> (") == 2 and "beta 1 (" not in samples


def test_the_terminal_keeps_numbers_whole_in_80_characters(tiny: Path) -> None:
    study = made_up(tiny, STUDY)
    finish(study, skill)
    said = shown(study, 80)
    assert max(map(len, said.splitlines())) <= 80 or "Report: " in max(said.splitlines(), key=len)
    number, interval = r"[+−]?\d\.\d\d", r"−?\d\.\d\d to −?\d\.\d\d"
    line = rf"^  beta 0\.1 +{number} +{interval} +{number} +{interval} +(not )?separable"
    assert re.search(line, said, re.MULTILINE)


def test_the_terminal_breaks_no_word_in_80_characters(tiny: Path) -> None:
    study = made_up(
        tiny, STUDY.replace("dSFT:", "supervised alone, the whole dataset:") + "labels: {beta: strength beta}\n"
    )
    finish(study, lambda row, seed: None if row == "strength beta 1" else 6.0 + len(row) / 10)
    wide, narrow = (shown(study, width).partition("Report: ")[0] for width in (300, 80))
    assert max(map(len, narrow.splitlines())) <= 80
    assert set(narrow.split()) <= set(wide.split()) and "finished" in narrow and "waiting" in narrow


def test_the_terminal_breaks_long_keys_behind_their_dots_and_underscores(tiny: Path) -> None:
    study = made_up(tiny, "grid: {train.learning_rate: [1e-3, 1e-4], sft.num_train_epochs: [1, 2]}\n"
                    "evaluate: evaluate.yaml\n")  # fmt: skip
    finish(study, lambda row, seed: 5.0 + len(row) / 10)
    whole = set(shown(study, 300).partition("  train.learning_rate 0.001, sft.num_train_epochs 2 and")[0].split())
    for width in (70, 76):
        narrow = shown(study, width).partition("  train.learning_rate 0.001, sft.num_train_epochs 2 and")[0]
        parts = set(narrow.split()) - whole
        assert all(each[-1] in "._," or any(re.search(rf"[._]{each}$", word) for word in whole) for each in parts)
    assert "train.learning_" in shown(study, 70).split()
    assert broken("train.learning_rate", 16) == "train.learning_\nrate"
    assert broken("outputs/mini/sft", 8) == "outputs/\nmini/sft" and broken("short", 8) == "short"
    assert broken("unbreakable_but_whole", 5) == "unbreakable_\nbut_\nwhole"


def test_the_page_does_without_matplotlib(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    own = [f"zephyr.study.report.{name}" for name in ("pictures", "grid_pictures", "curves")]
    drawing = ("matplotlib", *own, "zephyr.report.figures", "zephyr.report.svg")
    for name in [name for name in sys.modules if name.startswith(drawing)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page, _, _, _ = read(study)
    assert NO_PICTURES.partition(":")[0] in page and "<svg" not in page


def warn(study: Study, row: str, seed: int | None, text: str, *, of_model: bool = False) -> None:
    cell = next(cell for each in study.rows if each.name == row for cell in each.cells if cell.seed == seed)
    file = (cell.model if of_model else cell.evaluation).run_dir / "result.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"warnings": [text]}))


def test_what_runs_warned_of_is_said_everywhere_and_once(tiny: Path) -> None:
    study = made_up(tiny, STUDY, "seeds=[1, 2]")
    finish(study, lambda row, seed: 5.0 + len(row) / 10 + 0.1 * seed)
    for row, seed, n in (("dSFT", 1, 12), ("dSFT", 2, 7), ("beta 0.1", 2, 1030)):
        warn(study, row, seed, f"model: {n:,} of 1,280 answers <were> cut at max_new_tokens")
    warn(study, "beta 1", 1, "Collapse: lost 6.28 nats.", of_model=True)
    page, text, data, _ = read(study)
    first, second = sorted(data["warnings"], key=lambda each: each["text"])
    assert first["text"] == "7 to 1,030 of 1,280 answers <were> cut at max_new_tokens"
    assert first["rows"] == ["dSFT", "beta 0.1"] and len(first["said"]) == 3
    assert second["text"] == "Collapse: lost 6.28 nats." and second["rows"] == ["beta 1"]
    said = " ".join(shown(study, 100).split())
    assert f"warning: dSFT, beta 0.1 (1 of 2 seeds): {first['text']}" in said
    assert "warning: beta 1 (1 of 2 seeds): Collapse: lost 6.28 nats." in said
    assert "dSFT, beta 0.1 (1 of 2 seeds)</b>: 7 to 1,030 of 1,280 answers &lt;were&gt;" in page
    assert "- dSFT, beta 0.1 (1 of 2 seeds): 7 to 1,030" in text


def test_the_caution_about_ddpo_is_for_studies_that_train_by_it(study: Study, tiny: Path) -> None:
    assert "What dDPO gains" in read(study)[0] and "What dDPO gains" in shown(study, 200)
    without = made_up(tiny, "evaluate: evaluate.yaml\n", "grid={learning_rate: [1e-4, 1e-3]}", "recipe=sft.yaml")
    finish(without, skill)
    page, text, _, _ = read(without)
    assert "world score" in page
    assert "What dDPO gains" not in page + text + shown(without, 200)


def test_rows_say_what_they_are(tiny: Path) -> None:
    text = STUDY.replace("dSFT: {recipe: sft.yaml}", "hot: {recipe: sft.yaml, set: {learning_rate: 1000}}")
    study = made_up(tiny, text + "labels: {beta: <b>}\nexclude: [{beta: 1.0}]\n")
    finish(study, lambda row, seed: 5.0)
    page, text, data, _ = read(study)
    hot, there, first, _ = data["rows"]
    assert hot["settings"] == {"learning_rate": 1000} and hot["recipe"].endswith("sft.yaml")
    assert there["model"] == "someone/model" and there["recipe"] is None and there["settings"] == {}
    assert first["settings"] == {"beta": 0.01}
    for said in (page, text):
        rows = said.rpartition("What the rows are")[2]
        assert "learning_rate: 1000" in rows and "the model someone/model, which was there" in rows
        assert "2 rows of the grid" in rows and "1 combination left out" in rows and "Seed: 1." in rows
    assert "beta (&lt;b&gt;): 0.01, 0.1, 1" in page


def recorded(study: Study, **differing: str) -> None:
    """Provenance of every run; of the first with what differs."""
    for n, work in enumerate(study.works):
        record = {"zephyr": "0.1.0", "commit": "a" * 40, "dirty": False, "started": f"2026-03-01T10:0{n}:00+00:00",
                  "finished": f"2026-03-02T11:0{n}:30+00:00", "hardware": {"cpu": "Chip", "cores": 2, "memory_gib": 8},
                  **(differing if n == 0 else {})}  # fmt: skip
        (work.loaded.run_dir / "provenance.json").write_text(json.dumps(record))


def test_the_page_says_when_where_and_by_which_code(tiny: Path) -> None:
    study = made_up(tiny, "rows: {dSFT: {recipe: sft.yaml}}\ngrid: {beta: [0.1, 0.5]}\nevaluate: evaluate.yaml\n")
    finish(study, lambda row, seed: 5.0)
    recorded(study)
    page, text, data, _ = read(study)
    made = data["made"]
    assert made[0] == "Run from 2026-03-01 10:00 to 2026-03-02 11:06 UTC."
    assert made[1:] == ["Code: zephyr 0.1.0, commit aaaaaaaaaaaa.", "Machine: 2 cores of Chip, 8.0 GiB; no GPU."]
    assert all(each in page.partition("<footer>")[2] and each in text for each in made)
    recorded(study, commit="b" * 40)
    code = read(study)[2]["made"][1]
    assert code.startswith("Code, which differs between runs: zephyr 0.1.0, commit aaaaaaaaaaaa (6 runs); ")
    assert "commit bbbbbbbbbbbb (1 run)." in code


def test_runs_link_to_their_own_reports(study: Study) -> None:
    own = study.rows[0].cells[0].model.run_dir / "report.html"
    own.write_text("a report")
    page, _, _, _ = read(study)
    (link,) = re.findall(r'<a href="([^"#]+)">', page)
    assert (study.loaded.run_dir / link).resolve() == own


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (apt-get install chromium)")
def test_the_page_in_a_browser(study: Study, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `report` is not installed")
    page = write_report(study)
    done = chromium(page, tmp_path / "profile")
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    found = measured(page, tmp_path / "profile", "--window-size=500,900")
    # three of the grid; scores and differences of two columns, the scores of the third; loss of two stages, accuracy of
    # two
    assert len(found["pictures"]) == 3 + 5 + 4
    assert all(width > 150 and height > 80 for width, height in found["pictures"])
    assert all(lines >= 5 for lines in found["lines"])
    assert found["fetched"] == [] and found["dead"] == 0 and found["overflow"] <= 0


def test_a_grid_of_two_axes_is_a_heat_map_with_what_is_missing_hatched(tiny: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `report` is not installed")
    study = made_up(tiny, GRID)
    finish(study, lambda row, seed: None if row == "dSFT 3, dDPO 3" else 5 + len(row) / 10)
    page, _, _, _ = read(study)
    picture = page.partition('<figure id="grid-world-score">')[2].partition("</figure>")[0]
    assert "by dSFT and dDPO" in picture and picture.count(">waiting<") == 1
    assert len(re.findall(r">\d\.\d\d to \d\.\d\d<", picture)) == 11


def test_a_heat_map_of_losses_of_other_objectives_is_not_coloured(tiny: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `report` is not installed")
    text = "grid: {loss_type: [sigmoid, ipo], learning_rate: [1e-3, 1e-4]}\ncolumns: [eval_loss]\n"
    study = made_up(tiny, f"{text}exclude: [{{loss_type: ipo, learning_rate: 1e-4}}]\n")
    finish(study, lambda row, seed: 5 + len(row) / 10)
    picture = read(study)[0].partition('<figure id="grid-eval-loss">')[2].partition("</figure>")[0]
    assert "Not coloured, since the figures are not on one scale: another loss_type (sigmoid, ipo)." in picture
    assert "Blank: left out of the grid." in picture
    assert "Hatched" not in picture and "interval" not in picture and "opacity" not in picture
    alike = made_up(tiny, text.replace("loss_type: [sigmoid, ipo]", "warmup_steps: [1, 2]"))
    finish(alike, lambda row, seed: 5 + len(row) / 10)
    picture = read(alike)[0].partition('<figure id="grid-eval-loss">')[2].partition("</figure>")[0]
    assert "opacity" in picture and "Not coloured" not in picture


def test_pictures_claim_no_interval_that_they_have_not(tiny: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `report` is not installed")
    study = made_up(tiny, "grid: {beta: [0.1, 0.5, 1.0]}\ncolumns: [eval_loss]\ncurves: [loss]\n")
    finish(study, lambda row, seed: 5 + len(row) / 10)
    page, text, _, _ = read(study)
    assert "95 %" not in page + text
    assert "No line, since the figures are not on one scale: another beta (0.1, 0.5)." in page
    assert "The figures are not on one scale: another beta" in page.partition(">Scores</h2>")[2]
    assert "The curves are not on one scale: another beta" in page.partition(">Training</h2>")[2]


def test_a_grid_of_three_axes_says_that_it_has_no_picture(tiny: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `report` is not installed")
    study = made_up(tiny, "grid: {beta: [0.1, 0.5], loss_type: [sigmoid, ipo], warmup_steps: [1, 2]}\n")
    finish(study, lambda row, seed: 6.0 + len(row) / 10)
    page, _, _, _ = read(study)
    assert "A grid of 3 axes (beta, loss_type, warmup_steps) has no picture" in page


def test_figures_of_runs_that_are_out_of_date_are_said_to_be(tiny: Path) -> None:
    text = "stage: study\ntitle: Small\nrows: {dSFT: {recipe: sft.yaml}, other: {recipe: cpt.yaml, set: {seed: 5}}}\n"
    (tiny / "study.yaml").write_text(text + "columns: [eval_loss]\n")
    for stage in ("cpt", "sft"):
        finished(tiny / f"{stage}.yaml", tiny / "outputs")
    study = expand(load(tiny / "study.yaml", outputs=tiny / "outputs"), outputs=tiny / "outputs")
    assert "Out of date" not in read(study)[0] + shown(study, 100)
    (tiny / "chat.jsonl").write_text((tiny / "chat.jsonl").read_text().replace("the", "this"))
    page, markdown, data, lines = read(study)
    assert data["notes"][0].splitlines()[0] == "Out of date: figures of dSFT"
    dsft, other = data["rows"]
    assert (dsft["state"], other["state"]) == ("outdated", "waiting") and "changed since" in dsft["why"]
    assert {line["state"] for line in lines if line["row"] == "dSFT"} == {"outdated"}
    assert [each["state"] for each in data["runs"] if each["stage"] == "sft"] == ["outdated"]
    assert "0 of 2 rows finished, 1 waiting, 1 out of date." in page
    assert re.search(r"^  dSFT .* outdated: ", shown(study, 200), re.MULTILINE)
    assert all("chat.jsonl, changed since" in each for each in (page, markdown, " ".join(shown(study, 100).split())))
