"""What README.md says is so: its recipe loads, its errors are printed, its commands exist."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from zephyr.arguments import parser, split_overrides
from zephyr.cli import main
from zephyr.recipe import load
from zephyr.study.expand import expand

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
RECIPE = re.search(r"```yaml\n(.*?)```", README, re.S).group(1)  # type: ignore[union-attr]


def blocks() -> list[str]:
    return [block for language, block in re.findall(r"```(\w*)\n(.*?)```", README, re.S) if not language]


def commands(program: str) -> list[str]:
    lines = "\n".join(blocks()).replace("\\\n", " ").splitlines()
    found = [each.split("#")[0].strip().removeprefix("$ ") for each in lines]
    return [part for each in found for part in each.split(" && ") if part.startswith(f"{program} ")]


def test_the_recipe_loads(tmp_path: Path):
    (tmp_path / "sft.yaml").write_text((ROOT / "recipes" / "zephyr-7b-beta" / "sft.yaml").read_text())
    (tmp_path / "dpo.yaml").write_text(RECIPE)
    assert load(tmp_path / "dpo.yaml").recipe.train.beta == 0.1  # type: ignore[union-attr]


def test_the_errors_are_the_ones_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sft.yaml").write_text((ROOT / "recipes" / "zephyr-7b-beta" / "sft.yaml").read_text())
    (tmp_path / "mine.yaml").write_text(MISTAKEN)
    assert main(["check", "mine.yaml"]) == 1
    out = capsys.readouterr()
    printed = [line for line in (out.out + out.err).splitlines() if line.startswith("mine.yaml:")]
    shown = [line for block in blocks() for line in block.splitlines() if line.startswith("mine.yaml:")]
    assert shown and set(shown) <= set(printed)


MISTAKEN = """\
stage: dpo
seed: 42
beta: 0.1
model:
  model_name_or_path: sft.yaml
  torch_dtype: bfloat16
data:
  train:
    - path: HuggingFaceH4/ultrafeedback_binarized
      split: train_prefs
  max_length: 1024
  max_prompt_length: 512
train:
  learning_rat: 5e-7
  global_batch_size: 128
  num_train_epochs: 1
  lr_scheduler_type: linear
launch: {processes: 8, micro_batch_size: 3}
"""


def test_there_are_commands_to_check():
    assert len(commands("zephyr")) >= 4 and len(commands("make")) == 2 and commands("accelerate")


@pytest.mark.parametrize("command", commands("zephyr"))
def test_zephyr_commands_parse(command: str):
    words, _ = split_overrides(shlex.split(command)[1:])
    arguments = parser().parse_args(words)
    recipe = getattr(arguments, "recipe", None)
    assert recipe is None or (ROOT / recipe).is_file()


@pytest.mark.parametrize("command", commands("make"))
def test_make_targets_exist(command: str):
    done = subprocess.run(["make", "-n", *command.split()[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", commands("accelerate"))
def test_accelerate_commands_name_files_that_exist(command: str):
    files = re.findall(r"\S+\.(?:yaml|py)", command)
    assert len(files) == 3 and all((ROOT / each).is_file() for each in files)


def test_the_study_is_one(tmp_path: Path):
    text = next(block for block in re.findall(r"```yaml\n(.*?)```", README, re.S) if block.startswith("stage: study"))
    recipes = ROOT / "recipes" / "mini"
    (tmp_path / "study.yaml").write_text(re.sub(r"\b(sft|dpo|evaluate)\.yaml", rf"{recipes}/\1.yaml", text))
    study = expand(load(tmp_path / "study.yaml"), outputs=tmp_path)
    assert [len(row.cells) for row in study.rows] == [3] * 7
