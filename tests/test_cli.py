"""The command line as a stranger meets it."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from zephyr.arguments import split_overrides
from zephyr.cli import main
from zephyr.named import find

ROOT = Path(__file__).parents[1]


def test_overrides_are_told_from_options():
    words = ["run", "sft.yaml", "--beta=0.05", "train.seed=3", "--everywhere", "seed=7", "--outputs=x", "--with-inputs"]
    kept, overrides = split_overrides(words)
    assert overrides == ["--beta=0.05", "train.seed=3"]
    assert kept == ["run", "sft.yaml", "--everywhere", "seed=7", "--outputs=x", "--with-inputs"]


def test_a_shipped_recipe_is_found_by_name():
    assert find("zephyr-7b-beta/dpo") == ROOT / "recipes" / "zephyr-7b-beta" / "dpo.yaml"


def test_an_unknown_recipe_gets_the_nearest_names(capsys: pytest.CaptureFixture):
    assert main(["plan", "zephyr-7b-betta/dpo"]) == 1
    assert "Did you mean zephyr-7b-beta/dpo" in capsys.readouterr().err


def test_errors_have_no_traceback_and_exit_1(tiny: Path, capsys: pytest.CaptureFixture):
    (tiny / "wrong.yaml").write_text("extends: cpt.yaml\ntrain: {learning_rat: 1}\n")
    assert main(["run", str(tiny / "wrong.yaml")]) == 1
    error = capsys.readouterr().err
    assert "wrong.yaml:2" in error and "did you mean `learning_rate`?" in error and "Traceback" not in error


def test_check_names_the_right_and_the_wrong(tiny: Path, capsys: pytest.CaptureFixture):
    assert main(["check", str(tiny / "cpt.yaml"), str(tiny / "dpo.yaml")]) == 0
    assert capsys.readouterr().out.count(": right;") == 2


def test_check_reads_the_overrides_for_every_recipe_named(tiny: Path, capsys: pytest.CaptureFixture):
    both = ["check", str(tiny / "cpt.yaml"), str(tiny / "dpo.yaml")]
    assert main([*both, "seed=3", "output_dir=elsewhere"]) == 0
    assert capsys.readouterr().out.count("run directory elsewhere") == 2
    assert main([*both, "seed=many"]) == 1
    assert "override seed=many" in capsys.readouterr().out
    assert main([*both, "train.beta=0.5"]) == 1  # cpt has none
    said = capsys.readouterr().out
    assert f"{tiny / 'cpt.yaml'}: override train.beta=0.5" in said and "`train.beta` is for `dpo`" in said
    assert f"{tiny / 'dpo.yaml'}: right" in said


@pytest.mark.parametrize("words", [
    ["score", "judgments.jsonl", "seed=1"], ["convert", "theirs.yaml", "train.seed=1"],
    ["recipes", "seed=1"], ["schema", "seed=1"], ["merge", "x", "--seed=1"], ["push", "x", "--private", "seed=1"],
    ["chat", "sft.yaml", "--temprature=0"],
])  # fmt: skip
def test_a_command_without_overrides_refuses_one(words: list[str], capsys: pytest.CaptureFixture):
    assert main(words) == 1
    said = capsys.readouterr().err.strip()
    assert f"zephyr {words[0]}: found `{words[-1]}`, and this command takes no overrides" in said and "\n" not in said


def test_an_equals_sign_in_an_option_or_a_file_is_no_override(tmp_path: Path, capsys: pytest.CaptureFixture):
    file = tmp_path / "a=b.jsonl"
    file.write_text("{}\n")
    for words in (["score", str(file), "--questions=none.jsonl"], ["score", str(file), "--questions", "a=none.jsonl"]):
        assert main(words) == 1
        assert "none.jsonl: there is no such file" in capsys.readouterr().err


def test_alone_it_shows_its_help(capsys: pytest.CaptureFixture):
    assert main([]) == 0
    assert "plan" in capsys.readouterr().out


def test_a_misspelt_file_gets_the_nearest_beside_it(tiny: Path, capsys: pytest.CaptureFixture):
    assert main(["plan", str(tiny / "dpoo.yaml")]) == 1
    assert f"Did you mean {tiny / 'dpo.yaml'}?" in capsys.readouterr().err


def test_schema_is_the_one_beside_the_recipes(capsys: pytest.CaptureFixture):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((ROOT / "recipes" / "recipe.schema.json").read_text())


def test_the_wheel_holds_recipes_schema_and_templates(tmp_path: Path):
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    recipes = {str(each.relative_to(ROOT)) for each in (ROOT / "recipes").rglob("*") if each.is_file()}
    assert {f"zephyr/{each}" for each in recipes} <= set(names)
    assert "zephyr/data/tokens/templates/zephyr.jinja" in names and "zephyr/report/page.html.jinja" in names


def test_preview_shows_tokens_and_loss(tiny: Path, capsys: pytest.CaptureFixture):
    text = (tiny / "cpt.yaml").read_text().split("model:\n")[1].split("data:")[0]
    recipe = tiny / "alone.yaml"
    recipe.write_text(
        (tiny / "sft.yaml").read_text().replace("model: {model_name_or_path: cpt.yaml}\n", f"model:\n{text}")
    )
    assert main(["preview", str(recipe), "-n", "1", "loss_on=assistant"]) == 0
    shown = capsys.readouterr().out
    assert "<|user|>" in shown and "<|assistant|>" in shown


def test_run_then_chat(tiny: Path):
    def zephyr(*words: str, said: str = "") -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "zephyr", *words]
        return subprocess.run(command, cwd=tiny, input=said, capture_output=True, text=True)

    longer = "num_train_epochs=10"  # until it says something
    done = zephyr("run", "sft.yaml", longer, "--with-inputs")
    assert done.returncode == 0, done.stderr
    assert zephyr("run", "sft.yaml", longer).stderr.count("finished before, nothing to do") == 1
    chatted = zephyr("chat", "sft.yaml", "--max-new-tokens", "5", "--temperature", "0", said="what is the ball\n")
    assert chatted.returncode == 0 and chatted.stdout.strip(), chatted.stderr
    refused = zephyr("chat", f"outputs/{tiny.name}/cpt", said="hello\n")
    assert refused.returncode == 1 and "no chat template" in refused.stderr
