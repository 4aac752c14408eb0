"""The README.md that travels with a trained model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from zephyr.report.read import Run
from zephyr.report.run_tables import (
    STAGES,
    arrow,
    data_counts,
    first_and_last_loss,
    hardware_in_words,
    held_out,
)
from zephyr.report.settings import what_ran
from zephyr.report.table import as_markdown
from zephyr.report.wording import duration

USE = """```python
from transformers import pipeline

chat = pipeline("text-generation", model="{path}"{tokenizer})
messages = [
    {{"role": "system", "content": "You are a friendly assistant."}},
    {{"role": "user", "content": "Hello!"}},
]
print(chat(messages, max_new_tokens=256)[0]["generated_text"][-1]["content"])
```"""
USE_TEXT = """```python
from transformers import pipeline

complete = pipeline("text-generation", model="{path}"{tokenizer})
print(complete("Once", max_new_tokens=64)[0]["generated_text"])
```"""


def model_card(run: Run, *, licence: str | None = None, path: Path | None = None, merged: Sequence[str] = ()) -> str:
    """Model card of a training run: how to use the model, the recipe, data, numbers and versions.

    Args:
        run: a training run, from `read_run`, or built from the dicts that become its files.
        licence: identifier such as `apache-2.0`; without one the card says that it is not stated.
        path: where the model is, if not in the run directory.
        merged: for the card of a merged model, how it was merged.
    """
    adapter = bool(run.recipe.get("adapter")) and not merged
    counts = data_counts(run)
    parts = [
        _front_matter(run, licence, adapter),
        f"# {run.name}",
        f"{STAGES[run.stage]}. Trained with Zephyr Recipes.",
        "## Use",
        how_to_use(path or run.directory / "model", talks=run.stage != "cpt", adapter=adapter),
        *(["An adapter: PEFT puts it on its base, which adapter_config.json names."] if adapter else []),
        *merged,
        "## Training",
        as_markdown(what_ran(run)),
        *(["## Data", as_markdown(counts)] if counts else []),
        "## Numbers",
        _numbers(run),
        *([f"Warning: {warning}" for warning in run.result.get("warnings", [])]),
        "## Versions",
        _versions(run.provenance),
        "## Recipe",
        f"```yaml\n{run.shown_recipe.rstrip()}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def how_to_use(path: str | Path, *, talks: bool, adapter: bool) -> str:
    """The lines of Python that load a model; of an adapter transformers would take the base's tokenizer."""
    return (USE if talks else USE_TEXT).format(path=path, tokenizer=f', tokenizer="{path}"' if adapter else "")


def _front_matter(run: Run, licence: str | None, adapter: bool) -> str:
    sources = [source["path"] for source in (run.recipe.get("data") or {}).get("train", [])]
    start = (run.recipe.get("model") or {}).get("model_name_or_path")
    data: dict[str, Any] = {
        "library_name": "peft" if adapter else "transformers",
        "pipeline_tag": "text-generation",
        **({"license": licence} if licence else {"license": "unknown"}),
        **({"base_model": start} if start and _is_hub_id(start) else {}),
        **({"datasets": published} if (published := [source for source in sources if _is_hub_id(source)]) else {}),
        "tags": ["zephyr-recipes", "trl", run.stage],
    }
    return f"---\n{yaml.safe_dump(data, sort_keys=False)}---"


def _is_hub_id(name: str) -> bool:
    """`owner/name`: the Hub refuses local paths in a card's front matter."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))


def _numbers(run: Run) -> str:
    first, last = first_and_last_loss(run)
    lines = [f"- training loss, first to last: {arrow(first, last)}"] if last is not None else []
    lines += [f"- time: {duration(run.result['wall_s'])}"] if "wall_s" in run.result else []
    table = held_out(run)
    parts = ["\n".join(lines), as_markdown(table) if table else ""]
    return "\n\n".join(part for part in parts if part) or "None were recorded."


def _versions(provenance: Mapping[str, Any]) -> str:
    packages = {"python": provenance.get("python"), **(provenance.get("packages") or {})}
    shown = ", ".join(f"{name} {version}" for name, version in packages.items() if version)
    hardware = hardware_in_words(provenance.get("hardware") or {})
    commit = f" (commit {provenance['commit'][:12]})" if provenance.get("commit") else ""
    parts = [f"zephyr-recipes {provenance.get('zephyr', 'unknown')}{commit}", shown, hardware or ""]
    return "\n".join(f"- {part}" for part in parts if part)
