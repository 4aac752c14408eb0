"""The Leaderboard's tasks, and their authors' files as rows that lm-evaluation-harness reads in place of the Hub's."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from zephyr.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Official:
    """A task as the Open LLM Leaderboard (version 1) had it."""

    task: str
    """The harness's name."""
    shots: int
    metric: str
    """Which of the harness's counts, question by question."""


OFFICIAL: Mapping[str, Official] = {
    "arc": Official(task="arc_challenge", shots=25, metric="acc_norm"),
    "hellaswag": Official(task="hellaswag", shots=10, metric="acc_norm"),
    "mmlu": Official(task="mmlu", shots=5, metric="acc"),
    "truthfulqa": Official(task="truthfulqa_mc2", shots=0, metric="acc"),
}


STOCK = {"arc_challenge": "arc", "hellaswag": "hellaswag", "truthfulqa_mc2": "truthfulqa"}
"""The harness's task -> directory of its task file."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the harness is asked to do, and which metric counts."""

    specs: tuple[str, ...]
    """Names that it knows, or paths of task files; one for each subject."""
    shots: int | None
    """None: as the task says."""
    metric: str | None
    """None: the harness's first, or acc_norm where it has it."""


def local_tasks(name: str, path: Path, folder: Path) -> Task:
    """A Leaderboard task on local files; their rows, in the Hub's shape, are written into the folder.

    Args:
        name: `arc`, `hellaswag`, `mmlu` or `truthfulqa`.
        path: its authors' files: AI2's ARC-Challenge-{Train,Dev,Test}.jsonl in a directory; HellaSwag's
            hellaswag_{train,val}.jsonl; MMLU's dev/ and test/ with a CSV for each subject; TruthfulQA's mc_task.json.
        folder: where the rows go.

    Raises:
        UserError: the task has no local form, or the files are not there or of another form.
    """
    if name not in OFFICIAL:
        raise UserError(
            f"benchmarks.leaderboard.data.{name}: only {', '.join(OFFICIAL)} can be read from their authors' files; "
            "own tasks come by `include`"
        )
    if not path.exists():
        raise UserError(f"benchmarks.leaderboard.data.{name}: there is no {path}")
    official = OFFICIAL[name]
    readers: dict[str, Callable[[Path], dict[str, dict[str, list[dict[str, Any]]]]]] = {
        "arc": _arc, "hellaswag": _hellaswag, "mmlu": _mmlu, "truthfulqa": _truthfulqa,
    }  # fmt: skip
    try:
        found = readers[name](path)
    except (KeyError, ValueError, TypeError, StopIteration, IndexError) as error:
        raise UserError(
            f"benchmarks.leaderboard.data.{name}: {path} is not of its authors' form ({type(error).__name__}: {error})"
        ) from error
    specs = tuple(_spec(task, splits, folder / task) for task, splits in found.items())
    return Task(specs=specs, shots=official.shots, metric=official.metric)


def _spec(task: str, splits: Mapping[str, list[dict[str, Any]]], folder: Path) -> str:
    """Writes the rows, and a task file that takes all but them from the harness's own; returns its path."""
    import lm_eval

    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for split, rows in splits.items():
        files[split] = str((folder / f"{split}.jsonl").resolve())
        Path(files[split]).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    directory = "mmlu/default" if task.startswith("mmlu_") else STOCK[task]
    settings = {
        "include": str(Path(lm_eval.__file__).parent / "tasks" / directory / f"{task}.yaml"),
        "task": task,
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": files},
        # the harness takes its examples from the training split, else from the validation split
        "training_split": "train" if "train" in splits else None,
        "validation_split": "validation" if "validation" in splits else None,
    }
    path = folder / f"{task}.yaml"
    path.write_text(yaml.safe_dump(settings))
    return str(path)


def _arc(path: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    names = {"train": "Train", "validation": "Dev", "test": "Test"}
    files = {split: path / f"ARC-Challenge-{name}.jsonl" for split, name in names.items()}
    splits = {split: list(map(_arc_row, _lines(file))) for split, file in files.items() if file.is_file()}
    if "test" not in splits or len(splits) < 2:
        there = ", ".join(sorted(file.name for file in path.glob("*"))) or "nothing"
        raise UserError(
            f"benchmarks.leaderboard.data.arc: {path} holds {there}.\n"
            "Expected ARC-Challenge-Test.jsonl, and -Train.jsonl (or -Dev.jsonl) for the 25 examples"
        )
    return {"arc_challenge": splits}


def _arc_row(row: dict[str, Any]) -> dict[str, Any]:
    choices = row["question"]["choices"]
    return {
        "id": str(row.get("id", "")), "question": row["question"]["stem"], "answerKey": row["answerKey"],
        "choices": {"text": [each["text"] for each in choices], "label": [each["label"] for each in choices]},
    }  # fmt: skip


def _hellaswag(path: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    files = {"train": path / "hellaswag_train.jsonl", "validation": path / "hellaswag_val.jsonl"}
    keys = ("ind", "activity_label", "ctx_a", "ctx_b", "ctx", "endings", "label")
    return {
        "hellaswag": {
            split: [{key: row[key] for key in keys} | {"label": str(row["label"])} for row in _lines(file)]
            for split, file in files.items()
        }
    }


def _mmlu(path: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Each subject is a task; a CSV has a question, four choices and the letter (or number) of the right one."""
    subjects = {file.stem.removesuffix("_test"): file for file in sorted((path / "test").glob("*.csv"))}
    if not subjects:
        raise UserError(
            f"benchmarks.leaderboard.data.mmlu: {path} has no test/*.csv.\n"
            "Expected the authors' directory: dev/ with the five examples of each subject, and test/"
        )
    found = {}
    for subject, file in subjects.items():
        dev = next(each for each in (path / "dev" / file.name, path / "dev" / f"{subject}_dev.csv") if each.is_file())
        found[f"mmlu_{subject}"] = {"dev": list(_csv(dev)), "test": list(_csv(file))}
    return found


def _csv(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(newline="", encoding="utf-8") as opened:
        for row in csv.reader(opened):
            if row[5] == "answer":  # the authors' have no heading, some copies do
                continue
            right = row[5].strip()
            answer = int(right) if right.isdigit() else "ABCD".index(right)
            yield {"question": row[0], "choices": row[1:5], "answer": answer}


def _truthfulqa(path: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    file = path / "mc_task.json" if path.is_dir() else path
    rows = [
        {"question": row["question"], **{key: _targets(row[key]) for key in ("mc1_targets", "mc2_targets")}}
        for row in json.loads(file.read_text())
    ]
    return {"truthfulqa_mc2": {"validation": rows}}


def _targets(labels: dict[str, int]) -> dict[str, list[Any]]:
    return {"choices": list(labels), "labels": list(labels.values())}


def _lines(file: Path) -> Iterable[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
