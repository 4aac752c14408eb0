"""What a run says while it trains: a row in `metrics.jsonl` and one line on the terminal."""

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from zephyr.train.meter import KINDS

QUIET_S = 15.0
"""Seconds between two lines where the output is no terminal, so that a log file stays readable."""


NOTICED = 0.1
"""Share of the time from which loading, evaluating or saving is on the terminal's line."""


@dataclass(frozen=True, kw_only=True)
class Peak:
    """What MFU is a share of."""

    flops_per_token: float
    """Operations of a step for a token that is computed."""
    flops_per_second: float
    """Peak of all devices together."""

    def share(self, tokens_per_second: float) -> float:
        """MFU at a speed."""
        return tokens_per_second * self.flops_per_token / self.flops_per_second


class Progress(TrainerCallback):
    """Writes TRL's logs to `metrics.jsonl`, adds real (unpadded) tokens per second, and shows one line."""

    def __init__(self, run_dir: Path, spent: Mapping[str, float], flops_per_second: Peak | None = None) -> None:
        """`spent`: seconds by kind, counted on elsewhere; `flops_per_second`: None where MFU can't be known."""
        self.spent, self.peak = spent, flops_per_second
        self.logged_at, self.logged_spent = time.monotonic(), dict(spent)
        self.path, self.log_file = run_dir / "metrics.jsonl", run_dir / "log.txt"
        self.started = time.monotonic()
        self.step_started = self.started
        self.training_s = 0.0
        self.logged_s, self.logged_tokens = 0.0, 0.0
        self.shown = 0.0

    def continue_from(self, training_s: float, tokens: float) -> None:
        """Counts on from a checkpoint."""
        self.training_s = self.logged_s = training_s
        self.logged_tokens = tokens

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Starts the clock: evaluation and saving don't count into tokens per second."""
        self.step_started = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Stops it, and has the last step and those with a checkpoint logged whatever `logging_steps` says."""
        self.training_s += time.monotonic() - self.step_started
        if state.global_step >= state.max_steps or control.should_save:
            control.should_log = True

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict | None = None, **_: Any
    ) -> None:
        """One row; the trainer's closing summary (`train_runtime`) is left to `result.json`."""
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        row = {"step": state.global_step, "time_s": round(time.monotonic() - self.started, 2), **logs}
        if "loss" in logs:
            row["tokens_per_second"] = self._tokens_per_second(logs)
            if self.peak is not None:
                row["mfu"] = round(self.peak.share(row["tokens_per_second"] * logs.get("tokens/computed", 1.0)), 4)
            row |= self._shares()
            self._show(row, state)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def _tokens_per_second(self, logs: dict) -> float:
        tokens, seconds = logs.get("num_tokens", 0.0) - self.logged_tokens, self.training_s - self.logged_s
        self.logged_tokens, self.logged_s = logs.get("num_tokens", 0.0), self.training_s
        return round(tokens / seconds, 1) if seconds > 0 else 0.0

    def _shares(self) -> dict[str, float]:
        """`time/data`, `time/evaluation`, `time/saving`: shares of the wall time since the last row."""
        now, spent = time.monotonic(), dict(self.spent)
        wall = max(now - self.logged_at, 1e-9)
        shares = {f"time/{kind}": round((spent.get(kind, 0.0) - self.logged_spent.get(kind, 0.0)) / wall, 4)
                  for kind in KINDS}  # fmt: skip
        self.logged_at, self.logged_spent = now, spent
        return shares

    def _show(self, row: dict, state: TrainerState) -> None:
        line = progress_line(row, state.max_steps, self.training_s)
        with self.log_file.open("a") as file:
            file.write(line + "\n")
        last = state.global_step >= state.max_steps
        if sys.stderr.isatty():
            print(f"\r\x1b[K{line}", end="\n" if last else "", file=sys.stderr, flush=True)
        elif last or time.monotonic() - self.shown >= QUIET_S:
            self.shown = time.monotonic()
            print(line, file=sys.stderr, flush=True)


def forget_after(metrics: Path, step: int) -> None:
    """Takes the rows of later steps out of `metrics.jsonl`: they will be made again."""
    rows = metrics.read_text().splitlines() if metrics.is_file() else []
    kept = [row for row in rows if _step(row) <= step]
    draft = metrics.with_suffix(".partial")
    draft.write_text("".join(f"{row}\n" for row in kept))
    draft.replace(metrics)


def _step(row: str) -> float:
    try:
        return json.loads(row)["step"]
    except (ValueError, KeyError):  # a kill in the middle of a line
        return float("inf")


def progress_line(row: dict[str, Any], max_steps: int, training_s: float) -> str:
    """`step 120/1172  loss 2.31  lr 1.2e-03  accuracy 0.61  12.3k tokens/s  2:31 left`."""
    step = row["step"]
    left_s = training_s / step * (max_steps - step) if step else 0.0
    parts = [f"  step {step}/{max_steps}", f"loss {row['loss']:.4f}", f"lr {row['learning_rate']:.1e}"]
    if "rewards/accuracies" in row:
        parts += [f"accuracy {row['rewards/accuracies']:.2f}", f"margin {row['rewards/margins']:.2f}"]
    parts += [f"{row['tokens_per_second'] / 1000:.1f}k tokens/s"]
    parts += [f"MFU {row['mfu']:.0%}"] if "mfu" in row else []
    parts += [f"{kind} {row[f'time/{kind}']:.0%}" for kind in KINDS if row.get(f"time/{kind}", 0.0) >= NOTICED]
    parts += [f"{clock(left_s)} left"]
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """`2:31`, or `1:02:31` from an hour on."""
    minutes, seconds_left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds_left:02}" if hours else f"{minutes}:{seconds_left:02}"
