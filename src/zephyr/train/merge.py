"""`zephyr merge`: an adapter written into its base, as a whole model that anything loads, checked against the adapter.

LoRA's update is a matrix of the base's shape, so it can be added for good (arXiv 2106.09685, section 4.1).
"""

import gc
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from zephyr.errors import UserError
from zephyr.evaluate.load import adapter_config, base_of, load_model, load_tokenizer, model_path, require_peft
from zephyr.recipe import load
from zephyr.recipe.references import is_run_directory
from zephyr.recipe.schema import TrainRecipe
from zephyr.report.model_card import how_to_use, model_card
from zephyr.report.read import read_run
from zephyr.train.quantized import differentiable, nf4

TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Largest difference allowed between merged and adapter: root mean square over that of the logits. Both are the same
function; a merged weight is rounded once more, by up to 2^-9 of itself in bfloat16, which adds up over the layers."""
PROBE = (2, 64)
"""Rows and tokens of the random ids that both are asked."""


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What a merge came to; differences are root mean squares of the logits' difference over that of the logits."""

    output: Path
    dtype: str
    difference: float
    """Between the merged model, read back from disk, and the base with its adapter in the same precision."""
    effect: float
    """Between the adapter and its base: what there was to merge."""
    quantized: float | None = None
    """Between the merged model and the adapter on the 4-bit base that it was trained on; None: not so, or unknown."""

    def sentences(self) -> list[str]:
        """For the terminal and the card."""
        told = [
            f"Merged in {self.dtype}. On {PROBE[0] * PROBE[1]} random tokens its logits differ from the adapter's by"
            f" {self.difference:.2g} (root mean square, as a share of the logits'); the adapter itself moves them by"
            f" {self.effect:.2g}."
        ]
        if self.difference > self.effect / 2:
            told.append(
                f"Most of what the adapter learnt is lost in rounding to {self.dtype}; --dtype float32 keeps it."
            )
        if self.quantized is not None:
            told.append(
                f"The adapter was trained over 4-bit weights; merged into the whole ones its logits differ by"
                f" {self.quantized:.2g} from what was trained."
            )
        return told


def merge(name: str, output: Path | None = None, *, dtype: str = "auto") -> Merged:
    """Writes the whole model of an adapter, whole or not at all.

    Args:
        name: recipe, run directory, adapter directory or Hub id.
        output: directory to make; default `merged` in the run directory.
        dtype: precision of the merged weights; `auto` is the base's.

    Raises:
        UserError: this is no adapter, its base is gone, the output exists, or the merged model is not the adapter's.
    """
    transformers_logging.disable_progress_bar()
    source = model_path(name)
    try:
        found = adapter_config(source)
    except OSError:
        raise UserError(
            f"{name}: no adapter, run directory or recipe of a model here, and not found on the Hub"
        ) from None
    if found is None:
        raise UserError(f"{name} is a whole model, not an adapter: there is nothing to merge; it can be used as it is.")
    require_peft("zephyr merge")
    run_dir = Path(source).parent if is_run_directory(Path(source).parent) else None
    output = (output or _default(name, run_dir)).resolve()
    if output.exists():
        raise UserError(
            f"{output} exists.\n  Write elsewhere: zephyr merge {name} -o DIR\n  Or remove it: rm -r {output}"
        )
    tokenizer = load_tokenizer(source)
    draft = output.with_name(f"{output.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        expected, effect, used = _write(source, draft, tokenizer, dtype)
        merged = _checked(draft, output, expected, effect, used, _trained_quantized(run_dir, source))
        (draft / "README.md").write_text(_card(merged, run_dir, source, base_of(source, found)[0]))
        draft.rename(output)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return merged


def _default(name: str, run_dir: Path | None) -> Path:
    if run_dir is None:
        raise UserError(f"{name} is no run of ours, so say where to write: zephyr merge {name} -o DIR")
    return run_dir / "merged"


def _write(
    source: str, draft: Path, tokenizer: PreTrainedTokenizerBase, dtype: str
) -> tuple[torch.Tensor, float, torch.dtype]:
    """Merges into `draft`; returns the adapter's logits, how far they are from the base's, and the precision."""
    model: Any = load_model(source, dtype=dtype).to(_device())
    expected = logits(model)
    with model.disable_adapter():
        effect = distance(logits(model), expected)
    generation = model.generation_config
    merged = model.merge_and_unload(safe_merge=True)
    merged.generation_config = generation
    merged.save_pretrained(draft)
    tokenizer.save_pretrained(draft)
    return expected, effect, merged.dtype


def _checked(
    draft: Path, output: Path, expected: torch.Tensor, effect: float, dtype: torch.dtype, quantized: torch.Tensor | None
) -> Merged:
    gc.collect()  # the model that was merged makes room for the one that was written
    written = logits(load_model(str(draft), dtype="auto").to(_device()))
    difference = distance(written, expected)
    if not difference <= TOLERANCE[dtype]:
        raise UserError(
            f"The merged model is not the adapter's: its logits differ by {difference:.2g} of their root mean square"
            f" ({TOLERANCE[dtype]:g} is allowed in {str(dtype).removeprefix('torch.')}), so it was not kept.\n"
            "  Try --dtype float32; if it differs there too, please report it with the adapter_config.json."
        )
    return Merged(
        output=output,
        dtype=str(dtype).removeprefix("torch."),
        difference=difference,
        effect=effect,
        quantized=None if quantized is None else distance(written, quantized),
    )


def _trained_quantized(run_dir: Path | None, source: str) -> torch.Tensor | None:
    """Logits of a QLoRA policy as it was trained, on the 4-bit base; None where it was not, or can't be known here."""
    recipe = load(run_dir / "recipe.yaml").recipe if run_dir else None
    if not isinstance(recipe, TrainRecipe) or recipe.model.quantization is None or find_spec("bitsandbytes") is None:
        return None
    compute = torch.bfloat16 if recipe.train.bf16 else torch.float32
    model = load_model(source, dtype="auto", quantization_config=nf4(compute), device_map={"": _device()})
    differentiable(model)  # the kernel that training used
    return logits(model)


def _card(merged: Merged, run_dir: Path | None, source: str, base: str) -> str:
    if run_dir is not None:
        return model_card(read_run(run_dir), path=merged.output, merged=merged.sentences())
    parts = [f"# {merged.output.name}", f"{source}, an adapter on {base}, merged by Zephyr Recipes.",
             *merged.sentences(), "## Use", how_to_use(merged.output, talks=True, adapter=False)]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


@torch.inference_mode()
def logits(model: PreTrainedModel) -> torch.Tensor:
    """Logits (rows, tokens, vocabulary) of a model on the probe, in float32 on the CPU."""
    drawn = torch.randint(model.config.vocab_size, PROBE, generator=torch.Generator().manual_seed(0))
    return model(input_ids=drawn.to(model.device), use_cache=False).logits.float().cpu()


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Root mean square of a - b over that of b."""
    return float((a - b).square().mean().sqrt() / b.square().mean().sqrt())
