"""Finds a trained model by whatever a user calls it, and loads it: a whole model, or an adapter on its base."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from zephyr.errors import UserError
from zephyr.plan.stack import ADAPTER_FILE
from zephyr.recipe import load
from zephyr.recipe.references import of_the_hub

GENERATION_FILE = "generation_config.json"


def model_path(name: str) -> str:
    """Directory or Hub id of a model, given as such, as a run directory, or as the recipe that makes it."""
    path = Path(name)
    if path.suffix == ".yaml" and path.is_file():
        path = load(path).run_dir
        if not (path / "model").is_dir():
            raise UserError(
                f"{name} has not been run yet: there is no {path / 'model'}.\n  Run it: zephyr run {name} --with-inputs"
            )
    if _holds_model(path / "model"):
        return str(path / "model")
    if path.is_dir() and not _holds_model(path):
        raise UserError(f"{path} holds no model: no config.json or {ADAPTER_FILE}, nor model/ with one of them")
    return str(path) if path.exists() else name


def _holds_model(path: Path) -> bool:
    return (path / "config.json").is_file() or (path / ADAPTER_FILE).is_file()


def load_tokenizer(name: str, **arguments: Any) -> PreTrainedTokenizerBase:
    """The tokenizer of a directory, of a Hub id, or of `NAME@REVISION` there."""
    plain, revision = of_the_hub(name)
    return AutoTokenizer.from_pretrained(plain, revision=revision or "main", **arguments)


def adapter_config(name: str, revision: str | None = None) -> dict[str, Any] | None:
    """PEFT's configuration of an adapter, local or on the Hub; None for a whole model."""
    from transformers.utils.peft_utils import find_adapter_config_file

    name, of_name = of_the_hub(name)
    if Path(name).is_absolute() or Path(name).exists():
        found = Path(name) / ADAPTER_FILE
        return json.loads(found.read_text()) if found.is_file() else None
    path = find_adapter_config_file(name, revision=revision or of_name)
    return json.loads(Path(path).read_text()) if path else None


def require_peft(what: str) -> None:
    """UserError when PEFT is not installed."""
    if find_spec("peft") is None:
        raise UserError(
            f"{what} needs the package peft, which is not installed.\n  pip install 'zephyr-recipes[train]'"
        )


def load_model(name: str, *, revision: str | None = None, **arguments: Any) -> PreTrainedModel:
    """A causal language model ready to evaluate; an adapter comes as PEFT's model, on its base, not merged.

    An adapter that was trained over 4-bit weights (QLoRA) is put on its base in the base's own precision.

    Args:
        name: directory, Hub id or `NAME@REVISION` of a whole model or an adapter.
        revision: of a Hub id that says none.
        arguments: for `from_pretrained` of the whole model or the base, such as `dtype`.

    Raises:
        UserError: PEFT is missing, or the adapter's base is not where it was.
    """
    name, of_name = of_the_hub(name)
    revision = revision or of_name
    found = adapter_config(name, revision)
    if found is None:
        return AutoModelForCausalLM.from_pretrained(name, revision=revision or "main", **arguments).eval()
    require_peft(f"{name} is an adapter: loading it")
    from peft import PeftModel

    base = load_base(name, found, **arguments)
    model = PeftModel.from_pretrained(base, name, revision=revision)
    if (Path(name) / GENERATION_FILE).is_file():  # the base's own may lack the EOS that the adapter has learnt
        base.generation_config = GenerationConfig.from_pretrained(name)
    return model.eval()


def load_base(name: str, found: dict[str, Any], **arguments: Any) -> PreTrainedModel:
    """The whole model that an adapter stands on; `found` is the adapter's configuration."""
    base, revision = base_of(name, found)
    return AutoModelForCausalLM.from_pretrained(base, revision=revision or "main", **arguments).eval()


def base_of(name: str, found: dict[str, Any]) -> tuple[str, str | None]:
    """Directory or Hub id of the model that an adapter stands on, and its revision."""
    base = found["base_model_name_or_path"]
    if Path(base).is_absolute() and not Path(base).exists():
        raise UserError(
            f"{name} is an adapter on {base}, which is not there (any more).\n"
            "  Bring it back (its recipe makes it again: zephyr run), or, where it has moved, write its new place as\n"
            f"  `base_model_name_or_path` into {Path(name) / ADAPTER_FILE}"
        )
    return base, found.get("revision")
