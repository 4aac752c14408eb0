"""From a study's file to the runs it takes: rows, seeds, and every distinct run once, inputs first."""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from zephyr.errors import UserError
from zephyr.recipe import Loaded, Problem, RecipeError, load
from zephyr.recipe.known import Known
from zephyr.recipe.problems import Problems, listed, shown
from zephyr.recipe.references import locate
from zephyr.recipe.schema import MAKES_A_MODEL
from zephyr.recipe.study import StudyRecipe
from zephyr.recipe.variant import Change, Variant
from zephyr.study.checks import check_evaluate, of_rows, refuse_unreached, refuse_unused
from zephyr.study.epochs import epochs_of, going_on, leaving
from zephyr.study.keys import chain, find, refuse_section
from zephyr.study.place import in_its_place
from zephyr.study.rows import Wanted, wanted_rows

MODEL = "model"
"""What every row's model is called in its `evaluate` run, so that equal models share their evaluation."""
EPOCHS = ("train", "num_train_epochs")
STARTS_FROM = "model.model_name_or_path"
Read = Callable[..., Loaded]
"""`load`, with the study's outputs and what was read for it before."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One row with one seed."""

    seed: int | None
    """None: the recipes' own seeds."""
    model: Loaded | None
    """The run that makes the row's model; None for a model that is there already."""
    evaluation: Loaded | None
    """The run that measures it; None where the study evaluates nothing."""

    @property
    def last(self) -> Loaded | None:
        """The run after which the cell is done."""
        return self.evaluation or self.model


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """One row of the table."""

    wanted: Wanted
    cells: tuple[Cell, ...]
    """One for each seed."""

    @property
    def name(self) -> str:
        """As the table shows it."""
        return self.wanted.name


@dataclass(frozen=True, kw_only=True)
class Work:
    """One run that the study takes, whoever wants it."""

    loaded: Loaded
    needs: tuple[Path, ...]
    """Run directories of those that must be finished before."""
    wanted_by: tuple[tuple[str, int | None], ...]
    """Rows and seeds whose figures hang on it."""
    continues: Path | None = None
    """Run directory of the run of fewer epochs whose training goes on in it; among `needs`."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study, read: its rows and the runs they take."""

    loaded: Loaded
    recipe: StudyRecipe
    rows: tuple[StudyRow, ...]
    works: tuple[Work, ...]
    """Every run once, inputs before what uses them."""
    everywhere: tuple[str, ...] = ()
    """Overrides for every recipe of every row."""
    outputs: Path | None = None
    """Root of run directories, where one was given."""
    reopened: bool = False
    """Read from its directory, as it was last run."""

    @property
    def compare_with(self) -> str:
        """The row that the others are set against."""
        return self.recipe.compare_with or self.rows[0].name

    def refuse_unknown(self, names: Sequence[str]) -> None:
        """UserError for a name that no row has."""
        rows = [each.name for each in self.rows]
        for each in names:
            if each not in rows:
                near = difflib.get_close_matches(each, rows, n=2, cutoff=0.4)
                hint = f"did you mean {listed(near)}?" if near else f"its rows are {listed(rows, 'and')}"
                raise UserError(f"--only {each}: no row of {shown(self.loaded.file)} is called so; {hint}")


def expand(loaded: Loaded, *, everywhere: Sequence[str] = (), outputs: Path | None = None) -> Study:
    """Reads every run of a study; nothing is written.

    Args:
        loaded: the study's recipe.
        everywhere: overrides for every recipe of every row, before the row's own.
        outputs: root of run directories, as for `load`.

    Raises:
        RecipeError: every mistake of the study's file and of the rows' recipes.
    """
    recipe = loaded.recipe
    assert isinstance(recipe, StudyRecipe)
    read = partial(load, outputs=outputs, known=Known())
    check_evaluate(loaded, recipe, read)
    wanted = wanted_rows(loaded, everywhere)
    seeds: Sequence[int | None] = recipe.seeds or [None]
    rows, mistakes = [], dict[Problem, list[Wanted]]()
    for each in wanted:
        try:
            cells = [_cell(recipe, each, seed, everywhere, read) for seed in seeds]
            rows.append(StudyRow(wanted=each, cells=tuple(cells)))
        except RecipeError as error:
            for problem in error.problems:
                mistakes.setdefault(problem, []).append(each)
    if mistakes:
        raise RecipeError(of_rows(loaded, problem, met_by) for problem, met_by in mistakes.items())
    works = _works(rows)
    runs = [each.loaded for each in works]
    refuse_unused(loaded, recipe, everywhere, runs)
    placed = in_its_place(loaded, everywhere, runs)
    return Study(loaded=placed, recipe=recipe, rows=tuple(rows), works=works, everywhere=tuple(everywhere),
                 outputs=outputs)  # fmt: skip


def _cell(
    recipe: StudyRecipe,
    wanted: Wanted,
    seed: int | None,
    everywhere: Sequence[str],
    read: Read,
) -> Cell:
    seeded = [*everywhere, *([] if seed is None else [f"seed={seed}"])]
    file, changes = _at_its_start(wanted, _changes(wanted, read), read)
    keep = frozenset(Path(each) for each in recipe.keep)
    name = str(file) if wanted.model is None else _model(wanted, wanted.model)
    if recipe.evaluate is None:
        if file is None:
            raise RecipeError([_problem(wanted, "a model that is there already has no figures without `evaluate`")])
        model = read(file, everywhere=seeded, variant=Variant(changes=changes, keep=keep))
        refuse_unreached(wanted, changes, model, keep)
        return Cell(seed=seed, model=model, evaluation=None)
    rows = Change(file=Path(recipe.evaluate), parts=("models",), value={MODEL: name}, origin=wanted.origin)
    none = Change(file=Path(recipe.evaluate), parts=("endpoints",), value={}, origin=wanted.origin)
    variant = Variant(changes=(*changes, rows, none), keep=keep)
    evaluation = read(recipe.evaluate, everywhere=seeded, variant=variant)
    refuse_unreached(wanted, changes, evaluation, keep)
    made = next((each.loaded for each in evaluation.inputs if each.field == f"models.{MODEL}"), None)
    return Cell(seed=seed, model=made, evaluation=evaluation)


def _model(wanted: Wanted, name: str) -> str:
    """A model that is there already: a directory from the study's folder or the working directory, or a Hub id."""
    found = locate(name, wanted.origin, wanted.origin.file or Path())
    if found is None and name.startswith((".", "/", "~")):
        raise RecipeError(
            [_problem(wanted, f"there is no directory `{name}`; one with a model is expected, or a Hub id")]
        )
    return str(found or name)


def _changes(wanted: Wanted, read: Read) -> tuple[Change, ...]:
    """What a row says differently, each found in its recipe."""
    if wanted.recipe is None:
        return ()
    target, problems, found = read(wanted.recipe), Problems(), []
    for each in wanted.settings:
        try:
            file, parts = find(target, each.key, each.origin)
            refuse_section(chain(target)[file], parts, each.value, each.key, each.origin)
        except RecipeError as error:
            problems.extend(error.problems)
        else:
            found.append(Change(file=file, parts=parts, value=each.value, origin=each.origin))
    if target.recipe.stage not in MAKES_A_MODEL:
        problems.extend([_problem(wanted, f"a recipe of stage {target.recipe.stage} makes no model")])
    problems.refuse()
    return tuple(found)


def _at_its_start(wanted: Wanted, changes: tuple[Change, ...], read: Read) -> tuple[Path | None, tuple[Change, ...]]:
    """The recipe of the row's model: of no epochs it is that of the model which training would start from."""
    file = wanted.recipe
    if file is None or not any(each.file == file and each.parts == EPOCHS and each.value == 0 for each in changes):
        return file, changes
    changes = tuple(each for each in changes if each.file != file)
    start = next((each for each in read(file).inputs if each.field == STARTS_FROM), None)
    if start is None:
        raise RecipeError([_problem(wanted, "no epochs is the model that training starts from, which no recipe makes")])
    return start.loaded.file, changes


def _problem(wanted: Wanted, text: str) -> Problem:
    return Problem(origin=wanted.origin, key=wanted.name, text=text)


def _works(rows: Sequence[StudyRow]) -> tuple[Work, ...]:
    """Every run that the rows take, each once, inputs first."""
    found: dict[Path, Loaded] = {}
    wanted_by: dict[Path, dict[tuple[str, int | None], None]] = {}

    def add(loaded: Loaded, row: tuple[str, int | None]) -> None:
        wanted = wanted_by.setdefault(loaded.run_dir, {})
        if row in wanted:
            return
        for each in loaded.inputs:
            add(each.loaded, row)
        wanted[row] = None
        found.setdefault(loaded.run_dir, loaded)

    # seed by seed, so that a study that is stopped has rows which can be compared
    cells = [(n, row.name, cell) for row in rows for n, cell in enumerate(row.cells)]
    for _, name, cell in sorted(cells, key=lambda each: each[0]):
        if cell.last is not None:
            add(cell.last, (name, cell.seed))
    longer = going_on(list(found.values()))
    for run_dir in sorted(longer, key=lambda each: -epochs_of(found[each])):  # what it goes on from goes on itself
        wanted_by[longer[run_dir].run_dir] |= wanted_by[run_dir]
    left = {each.run_dir for each in longer.values()}

    def work(loaded: Loaded) -> Work:
        before = longer.get(loaded.run_dir)
        needs = [*(item.loaded.run_dir for item in loaded.inputs), *([before.run_dir] if before else [])]
        return Work(
            loaded=leaving(loaded) if loaded.run_dir in left else loaded,
            needs=tuple(dict.fromkeys(needs)),
            wanted_by=tuple(wanted_by[loaded.run_dir]),
            continues=before.run_dir if before else None,
        )

    return tuple(work(found[run_dir]) for run_dir in _inputs_first(found, longer))


def _inputs_first(found: Mapping[Path, Loaded], longer: Mapping[Path, Loaded]) -> Iterator[Path]:
    """The runs in their order, but what another one goes on from before that one."""
    told: set[Path] = set()
    for run_dir in found:
        chain = [run_dir]
        while (before := longer.get(chain[-1])) is not None:
            chain.append(before.run_dir)
        for each in reversed(chain):
            if each not in told:
                told.add(each)
                yield each
