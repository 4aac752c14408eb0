"""What a reference log-probability depends on, beside the pair: the files of the model, and how it computes.

The weights in memory are no help: under ZeRO-3 every process holds pieces, and TRL 1.16, which hashes what it finds
there, takes two models for one. Files can be told apart whatever holds them.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch

from zephyr.cache import cache_root
from zephyr.errors import UserError
from zephyr.evaluate.load import adapter_config, base_of
from zephyr.plan.stack import Stack
from zephyr.recipe import DpoRecipe
from zephyr.train.model import MERGED_START

RULES = 1
"""Raise it when the same model would give other log-probabilities for the same pair."""
COUNTED = ("*.safetensors", "*.bin", "*.index.json", "config.json", "adapter_config.json", "*.py")
"""Files of a model that its log-probabilities depend on."""
NOT_WEIGHTS = ("training_args.bin", "optimizer.bin", "scheduler.bin")

Stamps = dict[str, tuple[int, int, int]]
"""File -> size, time of change of its content and of the file itself (which nobody can set back), in ns."""


def reference_files(recipe: DpoRecipe, stack: Stack, run_dir: Path) -> list[Path]:
    """The files that the reference is loaded from: a model's, or an adapter's and its base's; none of a random model.

    Of a start that was merged they are the merged copy's, since that is what is loaded.
    """
    if stack.name in ("full-on-adapter", "adapter-on-merged"):
        return _files(str(run_dir / MERGED_START), None)
    name, revision = recipe.model.model_name_or_path, recipe.model.revision
    if name is None:
        return []
    found = adapter_config(name, revision)
    below = _files(*base_of(name, found)) if found is not None else []
    return [*_files(name, revision), *below]


def stamps_before_loading(recipe: DpoRecipe, stack: Stack, run_dir: Path) -> "Stamps":
    """Stamps of what is there already; nothing of a start yet to be merged, or of the Hub, which can't change."""
    merged = stack.name in ("full-on-adapter", "adapter-on-merged")
    name = run_dir / MERGED_START if merged else Path(recipe.model.model_name_or_path or "")
    return stamps(reference_files(recipe, stack, run_dir)) if name.is_dir() else {}


def stamps(files: list[Path]) -> Stamps:
    """What tells whether a file was changed, without reading it."""
    return {str(file): (at.st_size, at.st_mtime_ns, at.st_ctime_ns) for file in files for at in [file.stat()]}


def require_unchanged(before: Stamps, files: list[Path]) -> None:
    """UserError where a file was overwritten while it was being loaded: nobody knows which of both is in memory."""
    now = stamps(files)
    changed = [name for name, stamp in now.items() if before.get(name, stamp) != stamp]
    if changed:
        raise UserError(
            f"{changed[0]} was overwritten while this run was loading it, so the policy may be one model and the"
            " reference another.\n  Wait until whatever writes there has ended, then: the same command"
        )


def reference_key(
    recipe: DpoRecipe, files: list[Path], *, dtype: torch.dtype, path: str, ld_alpha: float | None
) -> dict[str, Any]:
    """All that the log-probabilities of a pair depend on, as it is written into the store's `about.json`.

    Args:
        recipe: gives quantization, mixed precision, and the configuration of a random model.
        files: those of `reference_files`.
        dtype: of the weights in memory.
        path: how attention is computed and on what; rounding differs.
        ld_alpha: TRL's weight of the longer answer's tail (LD-DPO), which enters the sum.
    """
    random = {"config": recipe.model.config, "seed": recipe.seed, "torch": torch.__version__}
    return {
        "rules": RULES,
        "files": [[file.name, sha256(file)] for file in files] or random,
        "dtype": str(dtype).removeprefix("torch."),
        "autocast": "bfloat16" if recipe.train.bf16 else None,
        "quantization": recipe.model.quantization,
        "path": path,
        "ld_alpha": ld_alpha,
    }


def digest_of(key: dict[str, Any]) -> str:
    """One word for the model of a key, however it computes: hardware may change between two starts of a run."""
    return hashlib.sha256(json.dumps(key["files"], sort_keys=True).encode()).hexdigest()[:24]


def sha256(file: Path, cache: Path | None = None) -> str:
    """The hash of a file, remembered by its stamp: 14 GB of weights take some ten seconds to read."""
    seen = cache_root(cache) / "sha256"
    stamp = json.dumps([str(file.resolve()), *stamps([file]).popitem()[1], file.stat().st_ino])
    note = seen / hashlib.sha256(stamp.encode()).hexdigest()[:32]
    if note.is_file():
        return note.read_text()
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    seen.mkdir(parents=True, exist_ok=True)
    draft = note.with_suffix(f".{os.getpid()}")
    draft.write_text(found)
    draft.replace(note)
    return found


def _files(name: str, revision: str | None) -> list[Path]:
    folder = Path(name)
    if not folder.exists():
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(name, revision=revision, local_files_only=True))  # it has been loaded
    found = {file for pattern in COUNTED for file in folder.glob(pattern) if file.name not in NOT_WEIGHTS}
    return sorted(found)
