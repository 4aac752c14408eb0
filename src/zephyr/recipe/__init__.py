"""Recipes: one YAML file is the whole truth about a run. No torch."""

from zephyr.recipe.binarize import BinarizeRecipe
from zephyr.recipe.carried import resolved_yaml
from zephyr.recipe.checks import check_batch
from zephyr.recipe.dialogues import DialoguesRecipe
from zephyr.recipe.evaluate import (
    AlpacaEval,
    Benchmarks,
    EvaluateRecipe,
    Generation,
    Leaderboard,
    MtBench,
    WorldBenchmark,
)
from zephyr.recipe.feedback import FeedbackRecipe
from zephyr.recipe.filter import FilterRecipe
from zephyr.recipe.load import load
from zephyr.recipe.loaded import Input, Loaded, difference
from zephyr.recipe.problems import Origin, Problem, RecipeError
from zephyr.recipe.schema import (
    RECIPES,
    CptRecipe,
    DpoRecipe,
    Recipe,
    ReportRecipe,
    SftRecipe,
    World,
    WorldRecipe,
)
from zephyr.recipe.sections import (
    Adapter,
    ChatData,
    Launch,
    Model,
    PreferenceData,
    PreferenceTrain,
    Source,
    TextData,
    Train,
)
from zephyr.recipe.teacher import Budget, LanguageModel, Sampling

__all__ = [
    "RECIPES",
    "Adapter",
    "AlpacaEval",
    "Benchmarks",
    "BinarizeRecipe",
    "Budget",
    "ChatData",
    "CptRecipe",
    "DialoguesRecipe",
    "DpoRecipe",
    "EvaluateRecipe",
    "FeedbackRecipe",
    "FilterRecipe",
    "Generation",
    "Input",
    "LanguageModel",
    "Launch",
    "Leaderboard",
    "Loaded",
    "Model",
    "MtBench",
    "Origin",
    "PreferenceData",
    "PreferenceTrain",
    "Problem",
    "Recipe",
    "RecipeError",
    "ReportRecipe",
    "Sampling",
    "SftRecipe",
    "Source",
    "TextData",
    "Train",
    "World",
    "WorldBenchmark",
    "WorldRecipe",
    "check_batch",
    "difference",
    "load",
    "resolved_yaml",
]
