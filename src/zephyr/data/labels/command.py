"""`zephyr labels`: the label report of data made anywhere: pairs, scored answers, AlpacaEval's annotations."""

import json
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from zephyr.data.labels.figures import Labels
from zephyr.data.labels.page import label_page
from zephyr.data.oasst import joined
from zephyr.data.readers import Row
from zephyr.data.shapes import SHAPES, Preference, Shape, recognise
from zephyr.data.sources import read
from zephyr.data.turns import Unusable, text_of
from zephyr.data.ultrafeedback import Score, ScoredPrompt, number_of
from zephyr.errors import UserError
from zephyr.recipe import BinarizeRecipe, DpoRecipe, FeedbackRecipe, load
from zephyr.recipe.sections import Source

SCORE_COLUMNS = (
    ("score_chosen", "score_rejected"), ("chosen-rating", "rejected-rating"), ("chosen_rating", "rejected_rating"),
    ("chosen_score", "rejected_score"), ("rating_chosen", "rating_rejected"),
)  # fmt: skip
"""Where pairs have their scores, in published data sets; also inside `metadata`."""
MODEL_COLUMNS = (("chosen_model", "rejected_model"), ("chosen-model", "rejected-model"))
ANNOTATION = ("output_1", "output_2", "preference")
"""Columns of AlpacaEval's annotations: 1 or 2 is the better output, 0 or 1.5 neither."""
UNDECIDED = "annotation without a preference"


def labels_command(
    paths: Sequence[str], columns: Sequence[str], *, score: Score, output: Path | None, **of_a_data_set: str | None
) -> None:
    """Prints one report of all that is named and, with `output`, writes `labels.json` and `labels.md` there.

    Args:
        paths: recipes or run directories of stage dpo, binarize or feedback; or data: files, directories, Hub ids.
        columns: `ours=theirs`; for recipes, their overrides.
        score: which score of scored answers counts.
        output: directory to write to.
        of_a_data_set: `name`, `split` and `revision` of a source.

    Raises:
        UserError: nothing there is preference data.
    """
    sources = [each for path in paths for each in _sources(path, columns, of_a_data_set)]
    figures = collect(chain.from_iterable(_rows(*each) for each in sources), score).figures()
    names = ", ".join(source.path for source, _ in sources)
    if not figures.keys() & {"pairs", "answers"}:
        reasons = ", ".join(f"{n:,} x {reason}" for reason, n in figures["suspicious"].items())
        raise UserError(f"{names}: no pair and no scored answer in it ({reasons or 'no rows'})")
    page = label_page(figures, names)
    print(page)
    if output:
        output.mkdir(parents=True, exist_ok=True)
        (output / "labels.json").write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
        (output / "labels.md").write_text(page)


def _sources(path: str, columns: Sequence[str], of_a_data_set: dict[str, str | None]) -> list[tuple[Source, int]]:
    """Where the rows are, each with the seed of a draw."""
    if path.endswith((".yaml", ".yml")) or (Path(path) / "recipe.yaml").is_file():
        return _of_recipe(path, columns)
    return [(_source(path=path, columns=_mapping(columns), **of_a_data_set), 0)]


def _source(**settings: Any) -> Source:
    return Source(**settings)


def _mapping(columns: Sequence[str]) -> dict[str, str]:
    return {ours.removeprefix("--"): theirs for ours, theirs in (each.split("=", 1) for each in columns)}


def _of_recipe(path: str, overrides: Sequence[str]) -> list[tuple[Source, int]]:
    """The preference data that a recipe reads (dpo) or makes (binarize, feedback)."""
    loaded = load(path, overrides)
    recipe = loaded.recipe
    if isinstance(recipe, DpoRecipe):
        return [(each, recipe.seed) for each in recipe.data.train]
    if not isinstance(recipe, BinarizeRecipe | FeedbackRecipe):
        raise UserError(f"{path}: `stage: {recipe.stage}` has no preference labels; dpo, binarize and feedback have")
    file = loaded.run_dir / ("train.jsonl" if isinstance(recipe, BinarizeRecipe) else "feedback.jsonl")
    if not file.is_file():
        raise UserError(f"{path}: was not run yet: {file} is missing\n    zephyr run {path}")
    return [(_source(path=str(file)), recipe.seed)]


def _rows(source: Source, seed: int) -> Iterable[tuple[Row, Source]]:
    drawn = source.rows is not None or source.fraction is not None
    return ((row, source) for row in joined("binarize", read(source, seed), drawn=drawn))


def collect(rows: Iterable[tuple[Row, Source]], score: Score) -> Labels:
    """Everything that the report needs from rows of whatever kind; rows that can't be read are counted by reason."""
    labels = Labels()
    shapes: dict[tuple[str, ...], Shape | None] = {}
    for row, source in rows:
        if row.fields is None:
            labels.suspicious[row.fault] += 1
            continue
        columns = tuple(row.fields)
        if columns not in shapes:
            shapes[columns] = _shape(row.fields, source)
        try:
            _add(labels, row.fields, shapes[columns], score)
        except Unusable as fault:
            labels.suspicious[fault.reason] += 1
    return labels


def _shape(fields: dict[str, Any], source: Source) -> Shape | None:
    """The shape of a row; None for an annotation of AlpacaEval."""
    if set(ANNOTATION) <= fields.keys() and "chosen" not in fields:
        return None
    scored = any(set(shape.needs) <= fields.keys() for shape in SHAPES["binarize"])
    return recognise("binarize" if scored else "dpo", fields, source.columns, source.path)


def _add(labels: Labels, fields: dict[str, Any], shape: Shape | None, score: Score) -> None:
    if shape is None:
        _add_annotation(labels, fields)
        return
    found: Preference | ScoredPrompt = shape.convert(fields)
    if isinstance(found, ScoredPrompt):
        labels.add_prompt(found, score)
        return
    models = _beside(fields, MODEL_COLUMNS) or ("", "")
    scores = [number_of(each) for each in _beside(fields, SCORE_COLUMNS) or ()]
    both = (scores[0], scores[1]) if len(scores) == 2 and None not in scores else None
    labels.add_pair(found.chosen, found.rejected, both, (str(models[0]), str(models[1])))  # type: ignore[arg-type]


def _add_annotation(labels: Labels, fields: dict[str, Any]) -> None:
    """The preferred output is the chosen one; of a tie, either. A win is scored 1 to 0."""
    outputs = text_of(fields["output_1"]), text_of(fields["output_2"])
    models = str(fields.get("generator_1") or ""), str(fields.get("generator_2") or "")
    preference = number_of(fields["preference"])
    if preference is None or not (preference == 0 or 1 <= preference <= 2):
        labels.suspicious[UNDECIDED] += 1
    elif preference in (0, 1.5):
        labels.add_pair(*outputs, (0.5, 0.5), models)
    elif preference > 1.5:
        labels.add_pair(outputs[1], outputs[0], (1.0, 0.0), (models[1], models[0]))
    else:
        labels.add_pair(*outputs, (1.0, 0.0), models)


def _beside(fields: dict[str, Any], names: Sequence[tuple[str, str]]) -> tuple[Any, Any] | None:
    """The values of the first two columns that are both there, in the row or in its `metadata`."""
    inside = fields.get("metadata")
    for place in (fields, inside if isinstance(inside, dict) else {}):
        for chosen, rejected in names:
            if chosen in place and rejected in place:
                return place[chosen], place[rejected]
    return None
