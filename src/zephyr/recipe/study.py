"""The `study` recipe: many runs that differ in what one wants to know about, and one table of them."""

from dataclasses import field
from typing import Any, Literal

from pydantic import Field

from zephyr.recipe.sections import Base, RecipeFile, section


@section
class Row:
    """One row of the table: a model, and what its recipe or those it is made from say differently."""

    recipe: RecipeFile | None = None
    """The recipe that makes the model. Default: the study's `recipe`."""
    model: str | None = None
    """A model that is there already, instead of a recipe: a Hub id or a directory."""
    set: dict[str, Any] = field(default_factory=dict)
    """Keys set for this row: `train.beta: 0.5`; of `sft.yaml`, which it is made from: `sft.learning_rate: 1e-5`."""


@section
class StudyRecipe(Base):
    """Runs that differ in named settings, measured alike, as one table."""

    stage: Literal["study"]
    title: str
    """Heading of the table and the page."""
    recipe: RecipeFile | None = None
    """The recipe that the grid varies, and that of rows which name none."""
    rows: dict[str, Row] = field(default_factory=dict)
    """Row name -> what it is."""
    grid: dict[str, list[Any]] = field(default_factory=dict)
    """Key -> its values; every combination is a row, after those of `rows`. Keys as under `set`."""
    exclude: list[dict[str, Any]] = field(default_factory=list)
    """Combinations of the grid that are left out: those with all the values of an entry."""
    seeds: list[int] | None = Field(default=None, min_length=1)
    """Every row once with each of these as `seed` of all its recipes. Default: once, with the recipes' own."""
    keep: list[RecipeFile] = field(default_factory=list)
    """Recipes that no row changes, with all they are made from; their seeds still go with the others'."""
    evaluate: RecipeFile | None = None
    """The `evaluate` recipe that measures each row's model. Default: only what training says of itself."""
    columns: list[str] = field(default_factory=list)
    """Figures shown: `world/score`, or of the row's training `eval_rewards/accuracies`. Default: every score."""
    compare_with: str | None = None
    """The row whose difference from the others is shown. Default: the first."""
    labels: dict[str, str] = field(default_factory=dict)
    """Key of the grid -> what it is called in tables and pictures. Default: the key."""
    curves: list[str] = field(default_factory=list)
    """Figures logged while training, drawn over its steps: `eval_rewards/accuracies`, `loss`."""
    paper: Literal["table 3", "figure 3"] | None = None
    """What of the paper stands beside the rows of the same name."""
