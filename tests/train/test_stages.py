"""The three training stages end to end on a two-layer model: what they leave, and that it is right."""

import json
import math
from pathlib import Path

import pytest
import torch
from tests.conftest import write_tiny
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

from zephyr.errors import UserError
from zephyr.plan.plan import make_plan
from zephyr.recipe import load
from zephyr.run import execute, run_inputs


def run(recipe: Path, *overrides: str) -> tuple[dict, Path]:
    loaded = load(recipe, overrides, outputs=recipe.parent / "outputs")
    return execute(loaded), loaded.run_dir


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Path) -> Path:
    folder = write_tiny(tmp_path_factory.mktemp("trained"), tiny_tokenizer)
    for stage in ("cpt", "sft", "dpo"):
        run(folder / f"{stage}.yaml")
    return folder


def test_each_stage_leaves_what_the_next_and_the_report_need(trained: Path):
    for stage in ("cpt", "sft", "dpo"):
        run_dir = load(trained / f"{stage}.yaml", outputs=trained / "outputs").run_dir
        left = {each.name for each in run_dir.iterdir()}
        assert left == {"recipe.yaml", "provenance.json", "metrics.jsonl", "log.txt", "result.json", "model"}
        result = json.loads((run_dir / "result.json").read_text())
        assert result["status"] == "finished" and result["stage"] == stage
        rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
        trained_rows = [row for row in rows if "loss" in row]
        assert len(trained_rows) == result["batch"]["steps"]  # logging_steps: 1
        assert all(row["tokens_per_second"] > 0 for row in trained_rows)
        assert [row["step"] for row in rows if "eval_loss" in row] == [0, result["batch"]["steps"]]
        assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= {
            each.name for each in (run_dir / "model").iterdir()
        }


def test_training_lowers_the_loss_and_raises_the_accuracy(trained: Path):
    results = {
        stage: json.loads((trained / "outputs" / trained.name / stage / "result.json").read_text())["numbers"]
        for stage in ("cpt", "sft", "dpo")
    }
    assert results["cpt"]["eval_loss"] < results["cpt"]["eval_loss_before"] - 1
    assert results["sft"]["eval_loss"] < results["sft"]["eval_loss_before"] - 0.3
    assert results["dpo"]["first_loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert results["dpo"]["eval_loss"] < math.log(2) - 0.05
    assert results["dpo"]["eval_rewards/accuracies"] > results["dpo"]["eval_rewards/accuracies_before"]


def test_model_loads_and_answers_with_a_system_message(trained: Path):
    path = trained / "outputs" / trained.name / "sft" / "model"
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path)
    assert tokenizer.chat_template is not None
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "what is the ball"}]
    answer = pipeline("text-generation", model=model, tokenizer=tokenizer)(messages, max_new_tokens=8, do_sample=False)
    assert answer[0]["generated_text"][-1]["role"] == "assistant"


@pytest.mark.parametrize(
    ("stage", "overrides"),
    [
        ("sft", ("num_train_epochs=0.4",)),
        ("sft", ("num_train_epochs=3", "warmup_steps=5")),
        ("sft", ("global_batch_size=12", "micro_batch_size=4", "warmup_steps=0.3")),
        ("dpo", ("num_train_epochs=1.5",)),
        ("dpo", ("global_batch_size=32", "micro_batch_size=2", "num_train_epochs=3")),
    ],
)
def test_planned_steps_are_the_trainers(trained: Path, tmp_path: Path, stage: str, overrides: tuple[str, ...]):
    loaded = load(trained / f"{stage}.yaml", [*overrides, f"output_dir={tmp_path}/run"], outputs=trained / "outputs")
    plan = make_plan(loaded)
    result = execute(loaded)
    rows = [json.loads(line) for line in (loaded.run_dir / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if "loss" in row]
    assert plan.steps is not None and plan.batch is not None
    assert steps[-1]["step"] == plan.steps.steps == result["batch"]["steps"]
    # the learning rate logged at step k is the one of update k: it is highest right after warmup
    peak = max(range(len(steps)), key=lambda k: steps[k]["learning_rate"])
    assert steps[peak]["step"] == min(plan.steps.warmup_steps + 1, plan.steps.steps)


def test_finished_run_is_not_repeated_and_another_recipe_is_refused(tiny: Path):
    run(tiny / "cpt.yaml")
    model = tiny / "outputs" / tiny.name / "cpt" / "model" / "model.safetensors"
    written = model.stat().st_mtime_ns
    run(tiny / "cpt.yaml")
    assert model.stat().st_mtime_ns == written
    with pytest.raises(UserError, match=r"train\.learning_rate.*0\.01.*0\.02"):
        run(tiny / "cpt.yaml", "learning_rate=0.02")


def test_missing_input_is_named_with_the_command_that_makes_it(tiny: Path):
    loaded = load(tiny / "dpo.yaml", outputs=tiny / "outputs")
    with pytest.raises(UserError) as refused:
        run_inputs(loaded, with_inputs=False)
    message = str(refused.value)
    assert message.index("cpt.yaml") < message.index("sft.yaml", message.index("cpt.yaml"))
    assert "--with-inputs" in message


def test_same_recipe_and_seed_give_the_same_weights(tiny: Path):
    run(tiny / "cpt.yaml")
    loaded = load(tiny / "cpt.yaml", [f"output_dir={tiny}/again"], outputs=tiny / "outputs")
    execute(loaded)
    both = [tiny / "outputs" / tiny.name / "cpt" / "model", loaded.run_dir / "model"]
    weights = [AutoModelForCausalLM.from_pretrained(each).state_dict() for each in both]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_rmsprop_and_adamw_differ(tiny: Path):
    adamw, _ = run(tiny / "cpt.yaml")
    rmsprop, _ = run(tiny / "cpt.yaml", "optim=rmsprop", "learning_rate=1e-3", f"output_dir={tiny}/rms")
    assert rmsprop["numbers"]["loss"] != adamw["numbers"]["loss"]
    assert rmsprop["numbers"]["eval_loss"] < rmsprop["numbers"]["eval_loss_before"]


def test_a_run_refused_before_training_does_not_keep_its_directory(tiny: Path):
    recipe = tiny / "cpt.yaml"
    right = recipe.read_text()
    recipe.write_text(right.replace("path: text.jsonl", "path: trian.jsonl"))
    with pytest.raises(UserError, match=r"trian\.jsonl"):
        run(recipe)
    recipe.write_text(right)
    result, _ = run(recipe)
    assert result["status"] == "finished"


def test_the_last_step_is_logged_whatever_logging_steps_says(tiny: Path):
    result, run_dir = run(tiny / "cpt.yaml", "logging_steps=100")
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    steps = [row["step"] for row in rows if "loss" in row]
    assert steps == [1, result["batch"]["steps"]]
    assert result["numbers"]["loss"] < result["numbers"]["first_loss"]


def test_whole_weights_of_16_bits_without_a_float32_copy_are_warned_of(tiny: Path):
    found = execute(load(tiny / "cpt.yaml", ["model.dtype=bfloat16"], outputs=tiny / "outputs"))
    assert any("Whole weights were trained in bfloat16" in each for each in found["warnings"])
