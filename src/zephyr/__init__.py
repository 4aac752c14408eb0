"""Zephyr Recipes: one YAML recipe is the whole truth about aligning a language model."""

__version__ = "0.1.0"
