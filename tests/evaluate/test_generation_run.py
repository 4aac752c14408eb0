"""Answers of a model in this process to MT-Bench: its own template, temperatures by category, two turns."""

import json
from pathlib import Path

import pytest

from tests.evaluate.benchmark_files import write_mt_bench
from zephyr.cli import main
from zephyr.evaluate.mt_bench.files import read_answers
from zephyr.recipe import load

torch = pytest.importorskip("torch")

TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}<assistant>"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEPHYR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ZEPHYR_OFFLINE", raising=False)


@pytest.fixture
def model(tiny_tokenizer: Path, tmp_path: Path) -> Path:
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer)
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=512, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, initializer_range=0.3,
    )  # fmt: skip
    directory = tmp_path / "a-model-named-vicuna"  # a name decides nothing
    MistralForCausalLM(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def recipe(folder: Path, model: Path, **changed: object) -> Path:
    files = write_mt_bench(folder / "mt_bench")
    settings = {"batch_size": 4, "empty_system_turn": False, **changed}
    path = folder / "evaluate.yaml"
    text = files.recipe("http://127.0.0.1:9/v1", max_new_tokens="6")
    text = "".join(line for line in text.splitlines(keepends=True) if "answers:" not in line)
    path.write_text(f"{text}models: {{ours: {model}}}\ngeneration: {json.dumps(settings)}\n")
    return path


def answered(folder: Path, model: Path, name: str, **changed: object) -> dict[int, tuple[str, ...]]:
    folder.mkdir(exist_ok=True)
    file = recipe(folder, model, **changed)
    assert main(["run", str(file), "until=generate", f"output_dir={folder / name}"]) == 0
    return {id: each.turns for id, each in read_answers(folder / name / "mt_bench/answers/ours.jsonl").items()}


def test_greedy_answers_are_the_models_own_by_its_own_template(model, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    found = answered(tmp_path, model, "run")
    assert len(found) == 16 and all(len(turns) == 2 for turns in found.values())
    loaded, tokenizer = AutoModelForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    for id in (101, 111, 121, 131):  # reasoning, math, coding, extraction: temperature 0
        messages = []
        for turn, asked in enumerate((f"Ask {id}?", f"And {id}?")):
            messages.append({"role": "user", "content": asked})
            text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")
            said = loaded.generate(**ids, max_new_tokens=6, do_sample=False, pad_token_id=tokenizer.pad_token_id)
            said = tokenizer.decode(said[0, ids["input_ids"].shape[1] :], skip_special_tokens=True).strip()
            assert found[id][turn] == said
            messages.append({"role": "assistant", "content": said})


def test_only_warm_categories_depend_on_the_seed_and_nothing_on_the_batch(model, tmp_path):
    first = answered(tmp_path / "a", model, "run")
    (tmp_path / "cache").rename(tmp_path / "old")
    other_batch = answered(tmp_path / "b", model, "run", batch_size=7)
    assert other_batch == first
    file = recipe(tmp_path / "a", model)
    assert main(["run", str(file), "until=generate", "seed=5", f"output_dir={tmp_path}/seeded"]) == 0
    seeded = {id: each.turns for id, each in read_answers(tmp_path / "seeded/mt_bench/answers/ours.jsonl").items()}
    changed = {id for id in first if first[id] != seeded[id]}
    assert changed and changed <= {81, 82, 91, 92, 141, 142, 151, 152}


def test_answers_cut_at_the_limit_are_answers_and_counted(model, tmp_path):
    answered(tmp_path, model, "run")
    seen = json.loads((tmp_path / "run/mt_bench/answers/ours.json").read_text())
    assert seen["calls"] == 32 and seen["n_cut"] > 16 and seen["failed"] == []


def test_generation_is_not_done_again_when_judging_failed(model, tmp_path):
    file = recipe(tmp_path, model)
    run_dir = load(file, [f"output_dir={tmp_path}/run"]).run_dir
    assert main(["run", str(file), f"output_dir={run_dir}"]) == 1  # nobody is at the judge's port
    answers = run_dir / "mt_bench/answers/ours.jsonl"
    before = answers.stat().st_mtime_ns
    assert main(["run", str(file), f"output_dir={run_dir}"]) == 1
    assert answers.stat().st_mtime_ns == before
