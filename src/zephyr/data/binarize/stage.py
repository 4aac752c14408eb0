"""The `binarize` stage: from scored answers to pairs of a chosen and a rejected one (section 3.2 of arXiv 2310.16944).

Out: `train.jsonl` and, where there is an eval split, `eval.jsonl`, in ultrafeedback_binarized's schema;
`dropped.jsonl`, every row or pair left out with its reason; the label report, `labels.json` and `labels.md`.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from zephyr.cache import cache_root
from zephyr.data.binarize.strategies import STRATEGIES, Dropped, Pair, make_pairs
from zephyr.data.counts import OVERLAP, UnusableRow, excerpt, refuse_unusable
from zephyr.data.labels.figures import EMPTY, IDENTICAL, TRUNCATED, Labels
from zephyr.data.labels.page import label_page
from zephyr.data.readers import Row
from zephyr.data.row_files import RowFiles, row_files
from zephyr.data.sources import identity
from zephyr.data.turns import Messages, Unusable, assistant
from zephyr.data.ultrafeedback import Answer, Score, ScoredPrompt, corrected
from zephyr.data.usable import hash_as_share, prompt_hash, read_rows
from zephyr.errors import UserError
from zephyr.recipe.binarize import Binarize, BinarizeRecipe

log = logging.getLogger("zephyr")

LEFT_OUT_SOURCE = "source is left out by data.drop_sources"


@dataclass
class Tally:
    """What became of the rows of one run."""

    labels: Labels = field(default_factory=Labels)
    rows_read: Counter[str] = field(default_factory=Counter)
    """Split of the recipe -> rows."""
    unusable: list[UnusableRow] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    """Reason -> rows that give no pair, and pairs with a side that can't be used."""
    prompts: dict[str, set[bytes]] = field(default_factory=lambda: {"train": set(), "eval": set()})
    """Split of the output -> hashes of its prompts."""
    repeated: int = 0
    """Rows whose prompt was in the same split before."""


def run(recipe: BinarizeRecipe, run_dir: Path) -> dict[str, Any]:
    """Writes the pairs and the label report into the run directory; returns the counts.

    Raises:
        UserError: a source is no scored answers, more rows are unreadable than allowed, or no pair came of them.
    """
    sources = [
        {"split": split, **identity(source, cache_root() / "sha256")}
        for split in ("train", "eval")
        for source in getattr(recipe.data, split)
    ]
    tally = Tally()
    splits = ("train", "eval") if recipe.data.eval or recipe.data.eval_share else ("train",)
    with row_files(run_dir, *splits, "dropped") as files:
        for split in ("train", "eval"):  # train first: a prompt in both stays there
            for source in getattr(recipe.data, split):
                for row, found in read_rows("binarize", source, recipe.seed):
                    _take(recipe, split, row, found, files, tally)
        _refuse(recipe, run_dir, files.counts, tally)
    return _result(recipe, run_dir, {split: files.counts[split] for split in splits}, sources, tally)


def _take(
    recipe: BinarizeRecipe, split: str, row: Row, found: ScoredPrompt | Unusable, files: RowFiles, tally: Tally
) -> None:
    """One row of a source: its pairs are written, or it is listed with the reason why there are none."""
    tally.rows_read[split] += 1
    if isinstance(found, Unusable):
        tally.unusable.append(UnusableRow(split, row.source, row.line, row.index, found.reason, found.found))
        files.write("dropped", asdict(tally.unusable[-1]))
        return
    try:
        target = _target(recipe, split, found, tally)
        pairs = list(_kept(recipe, found, tally, files, _place(split, row)))
    except Dropped as reason:
        _drop(str(reason), found, files, tally, _place(split, row))
        return
    for pair in pairs:
        files.write(target, pair_row(found, pair))


def _target(recipe: BinarizeRecipe, split: str, found: ScoredPrompt, tally: Tally) -> str:
    """The split that a row goes to; raises Dropped where it goes to none."""
    if found.source in recipe.data.drop_sources:
        raise Dropped(LEFT_OUT_SOURCE)
    key = prompt_hash([*found.prompt, assistant("")])
    moved = split == "train" and hash_as_share(key) < recipe.data.eval_share
    target = "eval" if moved else split
    if target == "eval" and key in tally.prompts["train"]:
        raise Dropped(OVERLAP)
    tally.repeated += key in tally.prompts[target]
    tally.prompts[target].add(key)
    return target


def _kept(
    recipe: BinarizeRecipe, found: ScoredPrompt, tally: Tally, files: RowFiles, place: dict[str, Any]
) -> Iterator[Pair]:
    """The pairs of a row that can be trained on; the others are counted and listed."""
    rules = recipe.binarize
    row = replace(found, answers=tuple(corrected(each, rules.ten_for_one) for each in found.answers))
    tally.labels.add_prompt(row, _score(rules))
    pairs = make_pairs(
        row, rules.strategy, recipe.seed, score=rules.score, ties=rules.ties, min_margin=rules.min_margin
    )
    for pair in pairs:
        fault = fault_of(pair)
        if fault:
            _drop(fault, found, files, tally, place)
            continue
        tally.labels.add_pair(
            pair.chosen.text, pair.rejected.text, (pair.score_chosen, pair.score_rejected),
            (pair.chosen.model, pair.rejected.model),
        )  # fmt: skip
        yield pair


def fault_of(pair: Pair) -> str | None:
    """Why a pair can't be trained on, None where it can."""
    sides: tuple[Answer, Answer] = (pair.chosen, pair.rejected)
    if not all(each.text.strip() for each in sides):
        return EMPTY
    if any(each.truncated for each in sides):
        return TRUNCATED
    if pair.chosen.text.strip() == pair.rejected.text.strip():
        return IDENTICAL
    return None


def pair_row(row: ScoredPrompt, pair: Pair) -> dict[str, Any]:
    """A row in ultrafeedback_binarized's schema, with the models and the source beside."""
    chosen: Messages = [*row.prompt, assistant(pair.chosen.text)]
    return {
        "prompt": next(turn["content"] for turn in row.prompt if turn["role"] == "user"),
        "prompt_id": row.prompt_id,
        "chosen": chosen,
        "rejected": [*row.prompt, assistant(pair.rejected.text)],
        "messages": chosen,
        "score_chosen": pair.score_chosen,
        "score_rejected": pair.score_rejected,
        "chosen_model": pair.chosen.model,
        "rejected_model": pair.rejected.model,
        "source": row.source,
    }


def _score(rules: Binarize) -> Score:
    return rules.score or STRATEGIES[rules.strategy].score


def _place(split: str, row: Row) -> dict[str, Any]:
    return {"split": split, "source": row.source, "line": row.line, "index": row.index}


def _drop(reason: str, found: ScoredPrompt, files: RowFiles, tally: Tally, place: dict[str, Any]) -> None:
    tally.dropped[reason] += 1
    files.write("dropped", {**place, "reason": reason, "excerpt": excerpt(found.prompt[-1]["content"])})


# What came of it


def _refuse(recipe: BinarizeRecipe, run_dir: Path, counts: dict[str, int], tally: Tally) -> None:
    listed = str(run_dir / ".dropped.jsonl.draft")
    for split, n in tally.rows_read.items():
        rows = [each for each in tally.unusable if each.split == split]
        refuse_unusable(split, n, rows, recipe.data.max_unusable_share, listed)
    if not counts["train"]:
        reasons = "\n".join(f"  {n:>6,}  {reason}" for reason, n in tally.dropped.most_common())
        raise UserError(
            f"data.train: no pair came of {tally.rows_read['train']:,} rows:\n{reasons}\n"
            "Ways out: another `binarize.strategy` or `binarize.score`, a smaller `binarize.min_margin`, or other data."
        )


def _result(
    recipe: BinarizeRecipe, run_dir: Path, counts: dict[str, int], sources: list[dict[str, Any]], tally: Tally
) -> dict[str, Any]:
    rules, strategy = recipe.binarize, STRATEGIES[recipe.binarize.strategy]
    figures = {"dropped": dict(tally.dropped.most_common()), **tally.labels.figures()}
    (run_dir / "labels.json").write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    (run_dir / "labels.md").write_text(label_page(figures, f"{rules.strategy} on {_score(rules)} scores"))
    made = ", ".join(f"{n:,} in {split}" for split, n in counts.items())
    log.info("  pairs: %s; %s rows or pairs dropped", made, f"{sum(tally.dropped.values()):,}")
    log.info("  label report: %s", run_dir / "labels.md")
    return {
        "numbers": {**{f"pairs_{split}": n for split, n in counts.items()}, **key_figures(figures)},
        "counts": {
            "rows_read": dict(tally.rows_read),
            "unusable": dict(Counter(each.reason for each in tally.unusable)),
            "dropped": dict(tally.dropped.most_common()),
            "repeated_prompts": tally.repeated,
        },
        "rules": {
            "strategy": rules.strategy,
            "score": _score(rules),
            "ties": rules.ties or strategy.ties,
            "min_margin": rules.min_margin,
            "ten_for_one": rules.ten_for_one,
        },
        "suspicious": figures["suspicious"],
        "warnings": _warnings(recipe, counts, figures),
        "provenance": {"data": sources},
    }


def key_figures(figures: dict[str, Any]) -> dict[str, float]:
    """The few numbers of a label report that a reader wants, flat."""
    pairs, answers, judged = (figures.get(each, {}) for each in ("pairs", "answers", "agreement"))
    found = {
        "ties": pairs.get("ties", {}).get("value"),
        "longer_is_chosen": pairs.get("longer_is_chosen", {}).get("value"),
        "mean_gap": pairs.get("gap", {}).get("mean"),
        "chosen_characters": pairs.get("chosen_characters", {}).get("mean"),
        "rejected_characters": pairs.get("rejected_characters", {}).get("mean"),
        "score_length_spearman": answers.get("score_length_spearman", {}).get("value"),
        "judgments_same_order": judged.get("same_order", {}).get("value"),
    }
    return {name: round(value, 1 if value > 10 else 4) for name, value in found.items() if value is not None}


def _warnings(recipe: BinarizeRecipe, counts: dict[str, int], figures: dict[str, Any]) -> list[str]:
    said = [f"{name}: {n:,}" for name, n in figures["suspicious"].items() if "10" in name]
    if counts.get("eval") == 0:
        said.append("no pair went to eval")
    return said
