"""What one needs to know to repeat a run, beside its recipe: code, packages, hardware, inputs."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import zephyr
from zephyr.made_of import made_of
from zephyr.recipe import Loaded

PACKAGES = (
    "torch", "transformers", "trl", "datasets", "accelerate", "deepspeed", "peft", "bitsandbytes", "flash-attn",
    "tokenizers", "numpy",
)  # fmt: skip


def provenance(loaded: Loaded) -> dict[str, Any]:
    """All that one needs to know to repeat the run, beside the recipe."""
    return {
        "zephyr": zephyr.__version__,
        "python": platform.python_version(),
        "packages": _versions(),
        **_commit(),
        "hardware": _hardware(),
        "seed": getattr(loaded.recipe, "seed", None),
        "started": now(),
        "command": _command(),
        "recipe_file": str(loaded.file),
        **made_of(loaded),
        "inputs": [
            {
                "field": each.field,
                "recipe": str(each.loaded.file),
                "run_id": each.loaded.run_id,
                "path": str(each.path),
                "run_dir": str(each.loaded.run_dir),
            }
            for each in loaded.inputs
        ],
    }


def _command() -> str:
    program = Path(sys.argv[0]).name
    return shlex.join(["zephyr" if program == "__main__.py" else program, *sys.argv[1:]])


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> dict[str, Any]:
    """Commit of the code that ran and its uncommitted change, when it runs from a checkout."""
    here = Path(__file__).parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", "run.py") is None:
        return {"commit": None, "dirty": None}
    changed = git("diff", "HEAD", "--", ".")
    return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed), "diff": changed or None}


def _hardware() -> dict[str, Any]:
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    return {"cpu": processor, "cores": os.cpu_count(), "memory_gib": round(pages / 2**30, 1), "gpus": _gpus()}


def _gpus() -> list[str]:
    try:
        done = subprocess.run(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"],
                              capture_output=True, text=True, timeout=10)  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.strip().splitlines() if done.returncode == 0 else []


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
