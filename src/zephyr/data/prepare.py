"""A recipe's data, ready for its trainer: read, checked, rendered, tokenized, cut or packed, counted, and stored."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zephyr.cache import cache_root
from zephyr.data.counts import Counts, UnusableRow, refuse_unusable
from zephyr.data.sources import identity
from zephyr.data.tokens import store
from zephyr.data.tokens.sequences import Made, make_pairs, make_sequences
from zephyr.data.tokens.template import Template, template_source
from zephyr.data.tokens.tokenize import Tokenizer, load_tokenizer
from zephyr.data.usable import Split, part_splits, read_split
from zephyr.errors import UserError
from zephyr.recipe.schema import CptRecipe, DpoRecipe, SftRecipe
from zephyr.recipe.sections import PreferenceData, TextData

if TYPE_CHECKING:
    import datasets

RULES = 1
"""Version of the rules in this package: raise it when the same recipe and files would give other tokens or counts."""

TrainRecipe = CptRecipe | SftRecipe | DpoRecipe


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a trainer is given, and what is known about it."""

    train: "datasets.Dataset"
    """cpt, sft: `input_ids`, `labels` (-100: no loss); dpo: `prompt_ids`, `chosen_ids`, `rejected_ids`."""
    eval: "datasets.Dataset | None"
    """The same, held out."""
    counts: dict[str, Counts]
    """`train` and, where there is one, `eval`."""
    unusable: list[UnusableRow]
    """Every row left out, with its place and reason."""
    sources: list[dict[str, Any]]
    """Per source: `split`, `path`, `sha256` (local) or `revision` (Hub), `rows` taken."""
    template: str | None
    """The chat template's Jinja text."""
    folder: Path
    """Where it is stored; `unusable.jsonl` lists the rows left out."""


@dataclass(frozen=True)
class _Work:
    """What there is to do, and the folder whose name is the hash of it."""

    tokenizer: Tokenizer
    template: Template | None
    sources: list[dict[str, Any]]
    folder: Path


def prepare(recipe: TrainRecipe, *, cache: Path | None = None) -> Prepared:
    """The prepared data of a recipe: made if they are not stored yet, by one process while others wait.

    Raises UserError for whatever keeps the data from being trained on as the recipe says.
    """
    root = cache_root(cache)
    work = _work(recipe, root)
    with store.locked(work.folder):
        if not store.is_complete(work.folder):
            _make(recipe, work, root)
    facts = store.read_facts(work.folder)
    unusable = store.read_unusable(work.folder)
    _check_shares(recipe, facts["counts"], unusable, work.folder / "unusable.jsonl")
    train = store.read_split(work.folder, "train")
    assert train is not None
    return Prepared(
        train=train,
        eval=store.read_split(work.folder, "eval"),
        counts=facts["counts"],
        unusable=unusable,
        sources=facts["sources"],
        template=work.template.source if work.template else None,
        folder=work.folder,
    )


def prepare_command(recipe: TrainRecipe) -> None:
    """`zephyr prepare`: prepares, and prints what came of the rows and where it is."""
    known = stored(recipe) is not None
    started = time.monotonic()
    prepared = prepare(recipe)
    print(f"prepared before: {prepared.folder}" if known else f"prepared: {prepared.folder}")
    for split, counts in prepared.counts.items():
        unit = "pairs" if recipe.stage == "dpo" else "sequences"
        text = f"  {split}: {counts.rows_used:,} of {counts.rows_read:,} rows, {counts.sequences:,} {unit}"
        text += f", {counts.tokens:,} tokens kept, {counts.dropped_tokens:,} dropped"
        print(text + (f" from {counts.truncated_rows:,} rows" if counts.truncated_rows else ""))
    if not known:
        seconds = time.monotonic() - started
        tokens = sum(counts.tokens for counts in prepared.counts.values())
        print(f"  {seconds:.1f} s, {tokens / seconds / 1e3:,.0f}k tokens/s")


def stored(recipe: TrainRecipe, *, cache: Path | None = None) -> dict[str, Counts] | None:
    """The counts of data that are prepared already (`train`, `eval`), or None; makes nothing, asks no network."""
    try:
        folder = _work(recipe, cache_root(cache), local_only=True).folder
    except UserError:
        return None  # a tokenizer or a file is not there yet, so nothing can have been prepared from it
    return store.read_facts(folder)["counts"] if store.is_complete(folder) else None


def load_template(recipe: TrainRecipe, tokenizer: Tokenizer) -> Template | None:
    """The chat template of a recipe; None for plain text."""
    if isinstance(recipe.data, TextData):
        return None
    source = template_source(recipe.data.chat_template, tokenizer.chat_template, tokenizer.name)
    return Template(source, tokenizer.special_tokens, f"the template `{recipe.data.chat_template}`")


def _work(recipe: TrainRecipe, root: Path, *, local_only: bool = False) -> _Work:
    tokenizer = load_tokenizer(recipe.model, local_only=local_only)
    template = load_template(recipe, tokenizer)
    seen = root / "sha256"
    sources = [
        {"split": split, **identity(source, seen, local_only=local_only)}
        for split in ("train", "eval")
        for source in getattr(recipe.data, split)
    ]
    data: dict[str, Any] = asdict(recipe.data)  # type: ignore[call-overload]
    del data["max_unusable_share"]  # decides whether the data are accepted, not what they are
    what = {
        "rules": RULES,
        "stage": recipe.stage,
        "seed": recipe.seed,
        "data": data,
        "sources": sources,
        "tokenizer": tokenizer.digest,
        "template": template.source if template else None,
    }
    key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:24]
    return _Work(tokenizer, template, sources, root / "prepared" / key)


def _make(recipe: TrainRecipe, work: _Work, root: Path) -> None:
    names = ["train", "eval"] if recipe.data.eval else ["train"]
    splits = [
        read_split(recipe.stage, name, getattr(recipe.data, name), recipe.seed, work.tokenizer.eos) for name in names
    ]
    listed = root / "unusable" / f"{work.folder.name}.jsonl"
    _refuse(recipe, splits, listed)
    if len(splits) == 2:
        part_splits(*splits, drop=recipe.data.eval_overlap == "drop")
    made = {split.name: _make_split(recipe, work, split) for split in splits}
    _refuse(recipe, splits, listed)
    rows = [n for split in splits for n in split.rows_by_source]
    store.write(
        work.folder,
        {name: found.table for name, found in made.items()},
        {name: found.counts for name, found in made.items()},
        [row for split in splits for row in split.unusable],
        {"sources": [{**source, "rows": n} for source, n in zip(work.sources, rows, strict=True)]},
    )


def _make_split(recipe: TrainRecipe, work: _Work, split: Split) -> Made:
    if isinstance(recipe.data, PreferenceData):
        assert work.template is not None
        return make_pairs(split, recipe.data, work.tokenizer, work.template)
    seed = recipe.seed if split.name == "train" else None
    return make_sequences(split, recipe.data, work.tokenizer, work.template, seed)


def _refuse(recipe: TrainRecipe, splits: Sequence[Split], listed: Path) -> None:
    """Refuse splits with too many unusable rows, after listing them in a file."""
    unusable = [row for split in splits for row in split.unusable]
    if len(unusable) > recipe.data.max_unusable_share * min(split.rows_read for split in splits):
        store.write_unusable(listed, unusable)
    for split in splits:
        refuse_unusable(split.name, split.rows_read, split.unusable, recipe.data.max_unusable_share, str(listed))


def _check_shares(
    recipe: TrainRecipe, counts: dict[str, Counts], unusable: Sequence[UnusableRow], listed: Path
) -> None:
    """The same for stored data, whose recipe may have allowed more."""
    for name, found in counts.items():
        rows = [row for row in unusable if row.split == name]
        refuse_unusable(name, found.rows_read, rows, recipe.data.max_unusable_share, str(listed))
