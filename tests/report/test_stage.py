import html
import json
import re

import pytest

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")

from zephyr.errors import UserError
from zephyr.recipe import ReportRecipe
from zephyr.report.contents import contents, tables_of
from zephyr.report.read import read_chain
from zephyr.report.stage import report_directory, run


def recipe(*directories):
    return ReportRecipe(stage="report", title="The mini world", runs=[str(each) for each in directories])


def test_run_writes_page_markdown_and_data(runs, tmp_path, capsys):
    result = run(recipe(runs["evaluate"]), tmp_path / "report")
    assert sorted(file.name for file in (tmp_path / "report").iterdir()) == ["report.html", "report.json", "report.md"]
    assert result["numbers"] == {"runs": 5, "runs_finished": 5, "models_scored": 3}
    assert result["warnings"] == ["mini/dpo: Collapse: the chosen answers lost 0.61 nats a token."]
    assert (tmp_path / "report" / "report.html").stat().st_size < 2_000_000
    assert "report.html" in capsys.readouterr().out


def test_page_and_markdown_show_the_same_tables(runs, tmp_path):
    run(recipe(runs["evaluate"]), tmp_path)
    page, markdown = (tmp_path / "report.html").read_text(), (tmp_path / "report.md").read_text()
    tables = tables_of(contents("The mini world", read_chain([runs["evaluate"]])))
    assert len(tables) > 15
    for table in tables:
        on_page = re.search(rf'<table id="{table.id}".*?</table>', page, re.DOTALL).group(0)
        cells = [html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", on_page, re.DOTALL)]
        expected = [cell.text for row in table.rows for cell in row]
        assert cells[-len(expected) :] == expected
        for row in table.rows:
            line = "| " + " | ".join(re.sub(r"([\\`*<|])", r"\\\1", cell.text) or " " for cell in row) + " |"
            assert line in markdown


def test_report_json_has_the_numbers_themselves(runs, tmp_path):
    run(recipe(runs["evaluate"]), tmp_path)
    data = json.loads((tmp_path / "report.json").read_text())
    differences = next(table for table in data["tables"] if table["id"].startswith("differences-world"))
    assert differences["rows"][2] == [
        "dDPO + dSFT over dSFT", 0.31, pytest.approx([-0.05, 0.67]), 40, "not separable",
    ]  # fmt: skip


def test_same_runs_same_bytes(runs, tmp_path):
    for name in ("first", "second"):
        run(recipe(runs["evaluate"]), tmp_path / name)
    for file in ("report.html", "report.md", "report.json"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_report_on_one_directory_shows_all_it_was_made_from(runs):
    page = report_directory(runs["dpo"])
    assert page == runs["dpo"] / "report.html"
    headings = re.findall(r"<h2 id=\"run-[^>]*>(.*?)</h2>", page.read_text())
    assert headings == ["mini/world", "mini/cpt", "mini/sft", "mini/dpo"]
    assert "No model has been scored yet" in page.read_text()


def test_unfinished_run_is_shown_as_such(runs):
    (runs["dpo"] / "result.json").unlink()
    page = report_directory(runs["dpo"]).read_text()
    assert "This run is not finished" in page
    assert "Preference accuracy" in page


def test_a_run_killed_before_its_first_step_is_shown(runs):
    for name in ("result.json", "metrics.jsonl", "provenance.json"):
        (runs["dpo"] / name).unlink()
    assert "This run is not finished" in report_directory(runs["dpo"]).read_text()


def test_every_colour_of_the_pictures_is_defined_for_light_and_dark(runs):
    page = report_directory(runs["evaluate"]).read_text()
    light, dark = re.findall(r":root \{(.*?)\}", page, re.DOTALL)
    used = set(re.findall(r"var\(--([a-z0-9-]+)\)", page))
    for theme in (light, dark):
        assert used <= set(re.findall(r"--([a-z0-9-]+):", theme))


def test_no_run_directory_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match="is no run directory"):
        report_directory(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_models_said_cannot_become_markup(runs, tmp_path):
    answers = runs["evaluate"] / "answers.jsonl"
    answers.write_text(answers.read_text().replace("Ana lives in Bree.", "<script>alert(1)</script> ```"))
    run(recipe(runs["evaluate"]), tmp_path)
    assert "<script" not in (tmp_path / "report.html").read_text()
    assert "````text" in (tmp_path / "report.md").read_text()
