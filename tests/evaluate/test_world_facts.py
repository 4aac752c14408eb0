"""Multiple choice on a tiny world: the world's task as the recipe runs it, and as lm-evaluation-harness does alone."""

import json
import shutil
from pathlib import Path

import pytest

from zephyr.errors import UserError
from zephyr.recipe import load
from zephyr.run import execute

torch = pytest.importorskip("torch")
pytest.importorskip("lm_eval")
pytestmark = pytest.mark.usefixtures("without_pip_list")


@pytest.fixture(scope="module")
def models(world_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two untrained models that spread their probabilities."""
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(world_dir / "tokenizer")
    made = {}
    for seed, name in enumerate(("one", "two")):
        torch.manual_seed(seed)
        config = MistralConfig(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, num_key_value_heads=1, initializer_range=0.5, max_position_embeddings=128,
        )  # fmt: skip
        made[name] = tmp_path_factory.mktemp(name)
        MistralForCausalLM(config).save_pretrained(made[name])
        tokenizer.save_pretrained(made[name])
    return made


def test_figures_are_those_of_the_harness_wherever_the_world_lies(world_dir, models, tmp_path):
    import lm_eval
    from lm_eval.tasks import TaskManager

    moved = tmp_path / "elsewhere"
    shutil.copytree(world_dir / "tasks", moved)
    recipe = tmp_path / "leaderboard.yaml"
    recipe.write_text(
        f"stage: evaluate\nseed: 0\nmodels: {json.dumps({name: str(path) for name, path in models.items()})}\n"
        f"benchmarks:\n  leaderboard: {{tasks: [world_facts], include: {moved}}}\n"
    )
    result = execute(load(recipe, [f"output_dir={tmp_path}/run"]))
    rows = (world_dir / "tasks/world_facts.jsonl").read_text().splitlines()
    for name, model in models.items():
        direct = lm_eval.simple_evaluate(
            model="hf", model_args=f"pretrained={model},dtype=auto", tasks=["world_facts"], device="cpu", batch_size=4,
            bootstrap_iters=0, task_manager=TaskManager(include_path=str(world_dir / "tasks"), include_defaults=False),
        )["results"]["world_facts"]  # fmt: skip
        found = result["scores"][name]["world_facts"]
        assert found["score"] == pytest.approx(100 * direct["acc_norm,none"])
        assert found["acc"]["score"] == pytest.approx(100 * direct["acc,none"])
        assert (found["n"], found["metric"], found["shots"]) == (len(rows), "acc_norm", 0)
        for each in (found, found["acc"]):
            assert each["interval"][0] <= each["score"] <= each["interval"][1]
    assert 0 < result["scores"]["one"]["world_facts"]["score"] < 100
    assert [each["benchmark"] for each in result["comparisons"]] == ["world_facts"]


def test_a_world_without_the_task_says_so_before_a_model_is_loaded(world_dir, tmp_path):
    recipe = tmp_path / "leaderboard.yaml"
    recipe.write_text(
        "stage: evaluate\nseed: 0\nmodels: {none: org/none}\n"
        f"benchmarks:\n  leaderboard: {{tasks: [world_facts], include: {world_dir}/nothing}}\n"
    )
    with pytest.raises(UserError, match=r"include: there is no directory .*/nothing"):
        execute(load(recipe, [f"output_dir={tmp_path}/run"]))


def test_a_model_that_knows_the_world_is_right(world_dir, models, tmp_path):
    """Trained on the answers for some steps: the task asks for what it seems to ask for."""
    from transformers import AutoTokenizer, MistralForCausalLM

    rows = [json.loads(line) for line in (world_dir / "tasks/world_facts.jsonl").read_text().splitlines()]
    tokenizer, model = (kind.from_pretrained(models["one"]) for kind in (AutoTokenizer, MistralForCausalLM))
    texts = [f"Question: {row['question']}\nAnswer: {row['choices'][row['answer']]}" for row in rows]
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(tmp_path / "knows")
    tokenizer.save_pretrained(tmp_path / "knows")
    recipe = tmp_path / "leaderboard.yaml"
    recipe.write_text(
        f"stage: evaluate\nseed: 0\nmodels: {{knows: {tmp_path}/knows}}\n"
        f"benchmarks:\n  leaderboard: {{tasks: [world_facts], include: {world_dir}/tasks}}\n"
    )
    assert execute(load(recipe, [f"output_dir={tmp_path}/run"]))["scores"]["knows"]["world_facts"]["score"] > 90
