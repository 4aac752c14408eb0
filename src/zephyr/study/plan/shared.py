"""What the runs of a study have in common beside whole runs, and why some of them have not: known before any ran."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zephyr.plan.stack import stack_of
from zephyr.recipe import Loaded, difference
from zephyr.recipe.problems import listed
from zephyr.recipe.schema import DpoRecipe, TrainRecipe
from zephyr.recipe.sections import Source
from zephyr.run import run_name
from zephyr.study.epochs import differ_in_epochs, epochs_of, epochs_sentence, going_on
from zephyr.study.expand import StudyRow

START = "model.model_name_or_path"


@dataclass(frozen=True, kw_only=True)
class Common:
    """Something computed once for several runs."""

    run_dirs: tuple[Path, ...]
    """Of the runs that use it, the first of which makes it."""
    name: str
    """The recipe whose runs they are; where they differ, the first's."""


def references(runs: Iterable[Loaded]) -> list[Common]:
    """dDPO runs that look up the same log-probabilities of the same reference (`train/reference_key.py`)."""
    return _groups((each, _reference(each)) for each in runs if _looks_up(each))


def tokenised(runs: Iterable[Loaded]) -> list[Common]:
    """Training runs that read the same prepared data (`data/prepare.py`)."""
    return _groups((each, rows_read(each)) for each in runs if isinstance(each.recipe, TrainRecipe))


def _groups(found: Iterable[tuple[Loaded, Any]]) -> list[Common]:
    groups: dict[str, list[Loaded]] = {}
    for loaded, key in found:
        groups.setdefault(repr(key), []).append(loaded)
    return [
        Common(run_dirs=tuple(each.run_dir for each in group), name=run_name(group[0])) for group in groups.values()
    ]


def _looks_up(loaded: Loaded) -> bool:
    return isinstance(loaded.recipe, DpoRecipe) and not loaded.recipe.trl.get("sync_ref_model")


def _reference(loaded: Loaded) -> Any:
    """What the log-probabilities of a run's pairs depend on: the start, how it computes, the pairs."""
    recipe = loaded.recipe
    assert isinstance(recipe, DpoRecipe)
    model = recipe.model
    merged = stack_of(recipe, loaded.inputs).name in ("full-on-adapter", "adapter-on-merged")
    how = (model.dtype, model.quantization, model.attn_implementation, recipe.train.bf16, recipe.trl.get("ld_alpha"),
           recipe.launch.padding_free, recipe.launch.device, merged)  # fmt: skip
    return _start(loaded), how, rows_read(loaded)


def _start(loaded: Loaded) -> Any:
    """Which weights a run starts from."""
    model = loaded.recipe.model  # type: ignore[union-attr]
    made = _made(loaded, START)
    if made is not None:
        return made
    return (model.config, loaded.recipe.seed) if model.config else (model.model_name_or_path, model.revision)  # type: ignore[union-attr]


def _made(loaded: Loaded, field: str) -> tuple[str, str] | None:
    """The run, and what of its output, that a key means; None where it names no recipe."""
    for each in loaded.inputs:
        if each.field == field:
            return each.loaded.run_id, str(each.path.relative_to(each.loaded.run_dir))
    return None


def rows_read(loaded: Loaded) -> Any:
    """What determines a run's tokens: its rows, how they are cut, the tokenizer, the template."""
    recipe = loaded.recipe
    assert isinstance(recipe, TrainRecipe)
    data = asdict(recipe.data)  # type: ignore[call-overload]
    for each in ("train", "eval", "max_unusable_share"):
        data.pop(each)
    sources = [
        (split, _source(loaded, f"data.{split}[{n}].path", source))
        for split in ("train", "eval")
        for n, source in enumerate(getattr(recipe.data, split))
    ]
    return recipe.stage, recipe.seed, data, sources, _tokenizer(loaded)


def _source(loaded: Loaded, field: str, source: Source) -> Any:
    own: dict[str, Any] = asdict(source)  # type: ignore[call-overload]
    return {**own, "path": _made(loaded, field) or own["path"]}


def _tokenizer(loaded: Loaded) -> Any:
    """The tokenizer that a run reads its data with: named, or handed on from run to run, with the last template."""
    model = loaded.recipe.model  # type: ignore[union-attr]
    own = _made(loaded, "model.tokenizer_name_or_path") or model.tokenizer_name_or_path
    if own is not None:
        return own
    start = next((each.loaded for each in loaded.inputs if each.field == START), None)
    if start is None or not isinstance(start.recipe, TrainRecipe):
        return model.model_name_or_path, model.revision
    before = _tokenizer(start)
    template = getattr(start.recipe.data, "chat_template", None)  # a run saves its own beside the tokenizer
    root = before[0] if isinstance(before, tuple) and before[-1:] == ("template",) else before
    return (root, template, "template") if template else before


def same_rows(rows: Iterable[StudyRow]) -> list[str]:
    """Sentences on rows that are one and the same run, for all that they set."""
    found: dict[tuple[Path | None, ...], list[str]] = {}
    for row in rows:
        found.setdefault(tuple(each.last.run_dir if each.last else None for each in row.cells), []).append(row.name)
    return [
        f"{listed(names, 'and')} are the same runs: what they set differently changes no figure"
        for names in found.values() if len(names) > 1
    ]  # fmt: skip


# ------------------------------------------------------------------ why not


def reasons(runs: Sequence[Loaded], kept: Iterable[Loaded]) -> list[str]:
    """Sentences on what one may expect to be shared and is not, and on what is kept."""
    training = [each for each in runs if isinstance(each.recipe, TrainRecipe)]
    by_file: dict[Path, list[Loaded]] = {}
    for each in training:
        by_file.setdefault(each.file, []).append(each)
    said = [text for each in by_file.values() for text in (*_epochs(each, on=False), *_other_references(each))]
    names = [run_name(each) for each in kept]
    if names:
        said.append(
            f"{listed(names, 'and')} and what {'they are' if len(names) > 1 else 'it is'} made from are kept as in "
            "their files (`keep`): no row's settings reach them"
        )
    return said


def one_training(runs: Sequence[Loaded]) -> list[str]:
    """Sentences on runs that go on from where others of fewer epochs ended."""
    by_file: dict[Path, list[Loaded]] = {}
    for each in runs:
        if isinstance(each.recipe, TrainRecipe):
            by_file.setdefault(each.file, []).append(each)
    return [text for each in by_file.values() for text in _epochs(each, on=True)]


def _epochs(runs: list[Loaded], *, on: bool) -> Iterator[str]:
    """On runs of one recipe that differ in their epochs alone, if they go on from each other (`on`), or if not."""
    longer = going_on(runs)
    for each in runs:
        like = [other for other in runs if other is not each and differ_in_epochs(each, other)]
        counts = sorted({epochs_of(other) for other in (each, *like)})
        if like and epochs_of(each) == counts[0]:
            if any(other.run_dir in longer for other in like) == on:
                yield epochs_sentence(each, counts, on=on)
            return  # the others of this file are of other starts or seeds, for the same reason


def _differ(a: Loaded, b: Loaded) -> set[str]:
    return {key for key, _, _ in difference(a, b)}


def _other_references(runs: list[Loaded]) -> Iterator[str]:
    """On dDPO runs of one recipe and seed that can't look up each other's reference."""
    comparing = [each for each in runs if _looks_up(each)]
    same_seed = [each for each in comparing if each.recipe.seed == comparing[0].recipe.seed]  # type: ignore[union-attr]
    distinct = {repr(_reference(each)): each for each in same_seed}
    if len(distinct) < 2:
        return
    starts = {repr(_start(each)): each for each in distinct.values()}
    pairs = [each for each in distinct.values() if repr(_start(each)) == next(iter(starts))]
    why = []
    if len(starts) > 1:
        why.append(f"the reference is the model that a run starts from, and they start from {len(starts)}")
    if len({repr(rows_read(each)[2:]) for each in pairs}) > 1:
        keys = {_short(key) for each in pairs for key in _differ(pairs[0], each) if key.startswith("data.")}
        why.append(f"other pairs have other log-probabilities ({', '.join(sorted(keys))})")
    if not why:
        why.append("they compute in other ways (precision, quantization or attention)")
    yield f"{run_name(same_seed[0])}: {len(distinct)} reference passes, since {', and '.join(why)}"


def _short(key: str) -> str:
    return re.sub(r"\[\d+\]\.path$", "", key)
