"""Models that a benchmark asks, and what is noted of their answers: who served them, when, and what failed."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from zephyr.data.asking import refuse_set_aside
from zephyr.recipe.evaluate import EvaluateRecipe
from zephyr.recipe.teacher import LanguageModel
from zephyr.teacher.call import Answer, Failure

STEPS = ("generate", "judge", "score")


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What one benchmark adds to the result."""

    scores: dict[str, dict[str, Any]]
    """Row name -> figures: `score`, `interval`, `n`, `n_failed`, ..."""
    comparisons: list[dict[str, Any]] = field(default_factory=list)
    """Every two models, b minus a, on the same questions."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """For answers.jsonl: what each model said, and what that earned."""
    warnings: list[str] = field(default_factory=list)
    judging: dict[str, Any] | None = None
    """Who judged, where and when; the calibration beside it."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Files that the figures rest on, with their hashes."""


@dataclass(kw_only=True)
class Seen:
    """What came of the calls of one step."""

    n: int = 0
    """Calls."""
    served: Counter[str] = field(default_factory=Counter)
    """What servers said that they served -> answers."""
    created: list[float] = field(default_factory=list)
    """When the answers were written."""
    n_cut: int = 0
    """Answers that reached their longest."""
    n_empty: int = 0
    """Answers without text."""
    failed: list[dict[str, Any]] = field(default_factory=list)
    """What failed, and why."""

    def add(self, found: Answer | Failure) -> None:
        """Takes note of an answer; a failure is noted by `fail`, where it is known what it means."""
        self.n += 1
        if isinstance(found, Answer):
            self.served[found.served or "unnamed"] += 1
            self.created += [found.created] if found.created else []
            self.n_cut += found.finish_reason == "length"

    def fail(self, reason: str, detail: str, **where: object) -> None:
        """Takes note of what gave no result."""
        self.failed.append({**where, "reason": reason, "detail": detail})

    @property
    def reasons(self) -> Counter[str]:
        """Reason -> how many."""
        return Counter(each["reason"] for each in self.failed)

    def as_json(self, model: LanguageModel) -> dict[str, Any]:
        """For a file beside the answers, and for the result."""
        return {
            "model": model.model,
            "base_url": model.base_url,
            "revision": model.revision,
            "served": dict(self.served.most_common()),
            "from": _date(min(self.created)) if self.created else None,
            "to": _date(max(self.created)) if self.created else None,
            "calls": self.n,
            "n_cut": self.n_cut,
            "n_empty": self.n_empty,
            "failed": self.failed,
        }


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def models_of(recipe: EvaluateRecipe) -> dict[str, LanguageModel]:
    """Row name -> the model that answers, those loaded here with the recipe's `generation`."""
    told = recipe.generation
    settings: dict[str, Any] = {
        "batch_size": told.batch_size, "chat_template": told.chat_template,
        "empty_system_turn": told.empty_system_turn, "max_concurrency": 2 * told.batch_size,
    }  # fmt: skip
    here = {name: LanguageModel(**{"model": model, **settings}) for name, model in recipe.models.items()}
    return here | recipe.endpoints


def file_of(folder: Path, name: str, suffix: str) -> Path:
    """A row's file; names that no file can have are escaped."""
    return folder / f"{quote(name, safe=' +(),&=@')}{suffix}"


def write_seen(path: Path, seen: Seen, model: LanguageModel) -> None:
    """The file beside the answers."""
    draft = path.with_name(f"{path.name}.draft")
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.write_text(json.dumps(seen.as_json(model), indent=2, ensure_ascii=False) + "\n")
    draft.replace(path)


def read_seen(path: Path) -> dict[str, Any]:
    """What `write_seen` wrote; empty for answers that others made."""
    return json.loads(path.read_text()) if path.is_file() else {}


def refuse_failed(seen: Seen, n: int, allowed: float, *, what: str, key: str, folder: Path) -> None:
    """UserError when more than the share `allowed` of `n` failed; lists them in the folder's failed.jsonl.

    Args:
        seen: of the step.
        n: judgments or answers wanted.
        allowed: share that may fail.
        what: what they are, in the plural.
        key: the recipe's key that says `allowed`.
        folder: of the benchmark.
    """
    folder.mkdir(parents=True, exist_ok=True)
    listed = folder / "failed.jsonl"
    listed.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in seen.failed))
    refuse_set_aside(seen.reasons, n, allowed, what=what, key=key, listed=listed)


def comparison(benchmark: str, a: str, b: str, found: Any) -> dict[str, Any]:
    """A paired difference (statistics.Difference), as the result has it."""
    return {
        "benchmark": benchmark, "a": a, "b": b, "difference": found.value,
        "interval": list(found.interval), "n": found.n, "separable": found.separable,
    }  # fmt: skip


def row_names(names: Sequence[str], stored: dict[str, Any]) -> list[str]:
    """Row names in the order of the tables: models and endpoints, then those whose answers alone are there."""
    return [*names, *(name for name in stored if name not in names)]
