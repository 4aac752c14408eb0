"""Multiple choice: figures equal to calling lm-evaluation-harness directly, on small own files and on the real ones."""

import csv
import json
from pathlib import Path
from statistics import mean

import pytest

from tests.conftest import WORDS
from zephyr.errors import UserError
from zephyr.recipe import load
from zephyr.run import execute

torch = pytest.importorskip("torch")
pytest.importorskip("lm_eval")
pytestmark = pytest.mark.usefixtures("without_pip_list")


@pytest.fixture(scope="module")
def models(tiny_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two untrained models."""
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer)
    made = {}
    for seed, name in enumerate(("one", "two")):
        torch.manual_seed(seed)
        config = MistralConfig(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, num_key_value_heads=1, initializer_range=0.5, max_position_embeddings=4096,
        )  # fmt: skip
        made[name] = tmp_path_factory.mktemp(name)
        MistralForCausalLM(config).save_pretrained(made[name])
        tokenizer.save_pretrained(made[name])
    return made


def sentence(n: int) -> str:
    return f"{WORDS[n % 20]} {WORDS[(n * 7 + 3) % 20]} {WORDS[(n * 3) % 20]}"


def write_tasks(folder: Path) -> dict[str, Path]:
    """Each task's files as its authors publish them, a few questions each."""
    arc = [
        {"id": str(n), "answerKey": "ABCD"[n % 4],
         "question": {"stem": sentence(n),
                      "choices": [{"text": sentence(n + k), "label": "ABCD"[k]} for k in range(4)]}}
        for n in range(40)
    ]  # fmt: skip
    hellaswag = [
        {"ind": n, "activity_label": "Ball", "ctx_a": sentence(n), "ctx_b": "she", "ctx": sentence(n),
         "endings": [sentence(n + k) for k in range(4)], "label": n % 4}
        for n in range(24)
    ]  # fmt: skip
    truthful = [
        {"question": sentence(n), "mc1_targets": {sentence(n + 1): 1, sentence(n + 2): 0},
         "mc2_targets": {sentence(n + 1): 1, sentence(n + 2): 0, sentence(n + 4): 1}}
        for n in range(6)
    ]  # fmt: skip
    for name, rows in (("ARC-Challenge-Train", arc[:28]), ("ARC-Challenge-Test", arc[28:])):
        jsonl(folder / "arc" / f"{name}.jsonl", rows)
    jsonl(folder / "hellaswag/hellaswag_train.jsonl", hellaswag[:14])
    jsonl(folder / "hellaswag/hellaswag_val.jsonl", hellaswag[14:])
    (folder / "mc_task.json").write_text(json.dumps(truthful))
    for subject, n in (("anatomy", 9), ("astronomy", 3)):
        for split, count in (("dev", 5), ("test", n)):
            file = folder / "mmlu" / split / f"{subject}_{split}.csv"
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("w", newline="") as opened:
                csv.writer(opened).writerows(
                    [sentence(k + n), *(sentence(k + c) for c in range(4)), "ABCD"[k % 4]] for k in range(count)
                )
    return {"arc": folder / "arc", "hellaswag": folder / "hellaswag", "mmlu": folder / "mmlu",
            "truthfulqa": folder / "mc_task.json"}  # fmt: skip


def jsonl(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def evaluated(folder: Path, models: dict[str, Path], data: dict[str, Path], **more: object) -> dict:
    recipe = folder / "evaluate.yaml"
    settings = {"tasks": list(data), "data": {name: str(path) for name, path in data.items()}, **more}
    recipe.write_text(
        f"stage: evaluate\nseed: 0\nmodels: {json.dumps({name: str(path) for name, path in models.items()})}\n"
        f"benchmarks:\n  leaderboard: {json.dumps(settings)}\n"
    )
    return execute(load(recipe, [f"output_dir={folder}/run"]))


def direct(model: Path, tasks: dict[Path, int], limit: int | None = None) -> dict:
    """What the harness says when it is called without this toolkit; task file -> examples shown."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    found, manager = {}, TaskManager(include_defaults=False)
    for file, shots in tasks.items():
        found |= lm_eval.simple_evaluate(
            model="hf", model_args=f"pretrained={model},dtype=auto", tasks=[str(file)], num_fewshot=shots,
            device="cpu", batch_size=4, limit=limit,
            bootstrap_iters=0, task_manager=manager,
        )["results"]  # fmt: skip
    return found


def on_file(folder: Path, stock: str, more: str = "", **files: Path) -> Path:
    """A task file by hand: the harness's own on local rows of the Hub's shape."""
    import lm_eval

    splits = ", ".join(f"{split}: {path}" for split, path in files.items())
    path = folder / f"{Path(stock).stem}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"include: {Path(lm_eval.__file__).parent}/tasks/{stock}\ntask: {Path(stock).stem}\ndataset_path: json\n"
        f"dataset_name: null\ndataset_kwargs: {{data_files: {{{splits}}}}}\n{more}"
    )
    return path


def mmlu_on_files(folder: Path, rows: Path, subjects: tuple[str, ...]) -> dict[Path, int]:
    files = {name: rows / f"mmlu_{name}" for name in subjects}
    return {
        on_file(folder, f"mmlu/default/mmlu_{name}.yaml", dev=each / "dev.jsonl", test=each / "test.jsonl"): 5
        for name, each in files.items()
    }


def test_figures_are_those_of_the_harness(models, tmp_path):
    result = evaluated(tmp_path, models, write_tasks(tmp_path / "data"))
    rows = tmp_path / "run/leaderboard/data"
    hand = tmp_path / "by_hand"
    arc, swag, true = (rows / name for name in ("arc_challenge", "hellaswag", "truthfulqa_mc2"))
    tasks = {
        on_file(hand, "arc/arc_challenge.yaml", "validation_split: null\n",
                train=arc / "train.jsonl", test=arc / "test.jsonl"): 25,
        on_file(hand, "hellaswag/hellaswag.yaml",
                train=swag / "train.jsonl", validation=swag / "validation.jsonl"): 10,
        on_file(hand, "truthfulqa/truthfulqa_mc2.yaml", validation=true / "validation.jsonl"): 0,
        **mmlu_on_files(hand, rows, ("anatomy", "astronomy")),
    }  # fmt: skip
    expected, found = direct(models["two"], tasks), result["scores"]["two"]
    assert found["arc"]["score"] == pytest.approx(100 * expected["arc_challenge"]["acc_norm,none"])
    assert found["hellaswag"]["score"] == pytest.approx(100 * expected["hellaswag"]["acc_norm,none"])
    assert found["truthfulqa"]["score"] == pytest.approx(100 * expected["truthfulqa_mc2"]["acc,none"])
    subjects = [expected[f"mmlu_{each}"]["acc,none"] for each in ("anatomy", "astronomy")]
    assert found["mmlu"]["score"] == pytest.approx(100 * mean(subjects))  # each subject alike: 9 and 3 questions
    assert [found[each]["n"] for each in ("arc", "hellaswag", "mmlu", "truthfulqa")] == [12, 10, 12, 6]
    assert [found[each]["shots"] for each in ("arc", "hellaswag", "mmlu", "truthfulqa")] == [25, 10, 5, 0]
    assert found["mmlu"]["by_category"]["anatomy"]["n"] == 9
    for each in found.values():
        assert each["interval"][0] <= each["score"] <= each["interval"][1]
    assert {each["benchmark"] for each in result["comparisons"]} == {"arc", "hellaswag", "mmlu", "truthfulqa"}
    for each in result["comparisons"]:
        scores = [result["scores"][each[model]][each["benchmark"]]["score"] for model in ("a", "b")]
        assert each["difference"] == pytest.approx(scores[1] - scores[0])
    assert result["warnings"] == ["mmlu: the mean of 2 of its 57 subjects"]


def test_what_is_there_is_not_done_again(models, tmp_path):
    data = {"truthfulqa": write_tasks(tmp_path / "data")["truthfulqa"]}
    first = evaluated(tmp_path, models, data)
    kept = tmp_path / "run/leaderboard/one/truthfulqa.json"
    (tmp_path / "run/result.json").unlink()
    (tmp_path / "run/leaderboard/two/truthfulqa.json").unlink()
    before = kept.stat().st_mtime_ns
    assert evaluated(tmp_path, models, data)["scores"] == first["scores"]
    assert kept.stat().st_mtime_ns == before


def test_own_tasks_of_the_harness_by_name(models, tmp_path):
    jsonl(tmp_path / "own/rows.jsonl", [{"q": sentence(n), "a": [sentence(n), sentence(n + 1)]} for n in range(8)])
    (tmp_path / "own/own.yaml").write_text(
        "task: own_facts\ndataset_path: json\n"
        f"dataset_kwargs: {{data_files: {{test: {tmp_path}/own/rows.jsonl}}}}\n"
        'test_split: test\noutput_type: multiple_choice\ndoc_to_text: "{{q}}"\ndoc_to_choice: "{{a}}"\n'
        "doc_to_target: 0\nmetric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n"
    )
    result = evaluated(
        tmp_path, {"one": models["one"]}, {}, tasks=["own_facts"], include=str(tmp_path / "own"), limit=5
    )
    assert (result["scores"]["one"]["own_facts"]["n"], result["scores"]["one"]["own_facts"]["metric"]) == (5, "acc")
    assert result["warnings"] == ["own_facts: only the first 5 questions (`limit`): no one's figure"]


def test_a_task_that_nobody_knows_is_refused(models, tmp_path):
    with pytest.raises(UserError, match="no_such_task: neither one of arc, hellaswag, mmlu, truthfulqa nor known to"):
        evaluated(tmp_path, {"one": models["one"]}, {}, tasks=["no_such_task"])


@pytest.mark.parametrize(
    ("task", "broken", "said"),
    [("arc", "{}", "holds own.jsonl"), ("mmlu", "", r"has no test/\*.csv"), ("truthfulqa", "[{}]", "authors' form")],
)
def test_files_of_another_form_are_refused(models, tmp_path, task, broken, said):
    path = tmp_path / "data" / "own.jsonl"
    jsonl(path, [])
    path.write_text(broken)
    with pytest.raises(UserError, match=f"benchmarks.leaderboard.data.{task}.*{said}"):
        evaluated(tmp_path, {"one": models["one"]}, {task: path if task == "truthfulqa" else path.parent})


def test_the_real_files_give_the_harnesss_figures(shared, models, tmp_path):
    folder = shared / "benchmarks"
    data = {"arc": folder / "arc", "mmlu": folder / "mmlu", "truthfulqa": folder / "truthfulqa_mc_task.json"}
    result = evaluated(tmp_path, {"one": models["one"]}, data, limit=12)
    rows = tmp_path / "run/leaderboard/data"
    subjects = ("abstract_algebra", "anatomy", "world_religions")
    hand = tmp_path / "by_hand"
    arc, true = rows / "arc_challenge", rows / "truthfulqa_mc2"
    tasks = {
        on_file(hand, "arc/arc_challenge.yaml", "training_split: null\n",
                validation=arc / "validation.jsonl", test=arc / "test.jsonl"): 25,
        on_file(hand, "truthfulqa/truthfulqa_mc2.yaml", validation=true / "validation.jsonl"): 0,
        **mmlu_on_files(hand, rows, subjects),
    }  # fmt: skip
    expected, found = direct(models["one"], tasks, limit=12), result["scores"]["one"]
    assert found["arc"]["score"] == pytest.approx(100 * expected["arc_challenge"]["acc_norm,none"])
    assert found["truthfulqa"]["score"] == pytest.approx(100 * expected["truthfulqa_mc2"]["acc,none"])
    assert found["mmlu"]["score"] == pytest.approx(
        100 * mean(expected[f"mmlu_{each}"]["acc,none"] for each in subjects)
    )
    counts = {split: len((rows / f"arc_challenge/{split}.jsonl").read_text().splitlines())
              for split in ("validation", "test")}  # fmt: skip
    assert counts == {"validation": 294, "test": 300} or counts == {"validation": 300, "test": 294}
