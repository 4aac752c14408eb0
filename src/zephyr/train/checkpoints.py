"""Checkpoints that a killed run continues from: whole or not there at all, and refused where the maths would change.

A checkpoint is written beside the others under another name and renamed once every process has written its part, so a
kill at any moment leaves the one before as the newest.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from zephyr.errors import UserError
from zephyr.run import CONTINUES, write_json

DRAFT = "partial"
"""Folder, beside the checkpoints, of the one that is being written."""
ABOUT = "zephyr.json"
"""What we say about a checkpoint, inside it."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What must agree for a run to continue from a checkpoint, and what it had counted until then."""

    strategy: str
    """`ddp` (or one process), `zero2`, `zero3` or `fsdp2`."""
    processes: int
    data: str
    """Hash of the prepared rows."""
    step: int
    training_s: float
    """Seconds spent in steps."""
    tokens: float
    """Tokens seen."""
    reference: str | None = None
    """dDPO: digest of what the reference is; None: there is none."""


def newest(folder: Path) -> Path | None:
    """The checkpoint with the most steps; what a kill left half-written is no checkpoint."""
    found = {int(each.name.removeprefix("checkpoint-")): each for each in folder.glob("checkpoint-*")}
    return found[max(found)] if found else None


def read_about(checkpoint: Path) -> About:
    """What a checkpoint says about itself."""
    return About(**json.loads((checkpoint / ABOUT).read_text()))


def require_same_maths(checkpoint: Path, now: About) -> None:
    """Refuses a checkpoint that this run can't continue as if nothing had happened.

    The rows of a step don't depend on the processes, so whole weights and optimizer states (`ddp`) continue on any
    number of them, FSDP2's shards too; those of DeepSpeed belong to one number of processes.

    Raises:
        UserError: with what differs and the ways out.
    """
    before = read_about(checkpoint)
    differs = []
    if before.data != now.data:
        differs.append("the data: its rows are not those that this run began with")
    if before.reference is not None and before.reference != now.reference:
        differs.append("the reference: the files of the model that this run began from have changed since")
    if before.strategy != now.strategy:
        differs.append(f"the strategy: {before.strategy} there, {now.strategy} now")
    elif before.processes != now.processes and now.strategy in ("zero2", "zero3"):
        differs.append(
            f"the processes: {before.processes} there, {now.processes} now; {now.strategy} cut the optimizer's state"
            " for that number"
        )
    if differs:
        run_dir = checkpoint.parent.parent
        raise UserError(
            f"{checkpoint} can't be continued. What differs:\n"
            + "".join(f"    {each}\n" for each in differs)
            + "  Ways out:\n"
            "    continue as it was begun: the same data, `launch.strategy` and `launch.processes`\n"
            f"    start again:              rm -r {run_dir}, then the same command\n"
            "    keep both:                output_dir=outputs/another-name"
        )


class Resumable:
    """Writes checkpoints so that the newest one is always whole: a mixin for transformers' trainers."""

    args: Any
    state: Any
    accelerator: Any
    save_total_limit: int = 1
    about: About
    _writing = False

    def _get_output_dir(self, trial: Any) -> str:
        folder = super()._get_output_dir(trial)  # type: ignore[misc]
        return str(Path(folder) / DRAFT) if self._writing else folder

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(self.args.output_dir)
        name = f"checkpoint-{self.state.global_step}"
        self._writing = True
        try:
            super()._save_checkpoint(model, trial)  # type: ignore[misc]
        finally:
            self._writing = False
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            draft = folder / DRAFT / name
            (draft / ABOUT).write_text(json.dumps(asdict(self.about_now())))
            shutil.rmtree(folder / name, ignore_errors=True)
            draft.rename(folder / name)
            rotate(folder, self.save_total_limit)
        self.accelerator.wait_for_everyone()

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """transformers' own, but not about weights that are tied to others, which a checkpoint holds once."""
        tied = getattr(self.model, "all_tied_weights_keys", {})  # type: ignore[attr-defined]
        missing = [name for name in load_result.missing_keys if name not in tied]
        super()._issue_warnings_after_load(load_result._replace(missing_keys=missing))  # type: ignore[misc]

    def about_now(self) -> About:
        """What to say about a checkpoint written now."""
        return self.about

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """None: a checkpoint is to be continued from; the finished model gets its card from `result.json`."""


class LeaveLast(TrainerCallback):
    """Has a checkpoint written after the last step (`launch.leave_checkpoint`)."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Asks for it."""
        if state.global_step >= state.max_steps:
            control.should_save = True


def take_over(run_dir: Path) -> None:
    """Gives a run that goes on from another one that one's last checkpoint and metrics, as if it had been killed there.

    Nothing where it has checkpoints of its own. Where the other left none it trains from the start, and the note of
    what it continues goes; else the note gets the step.
    """
    own, note = run_dir / "checkpoints", run_dir / CONTINUES
    if not note.is_file() or newest(own) is not None:
        return
    before = Path(json.loads(note.read_text())["run"])
    checkpoint = newest(before / "checkpoints")
    if checkpoint is None:
        note.unlink()
        return
    write_json(note, {"run": str(before), "step": read_about(checkpoint).step})
    draft = own / DRAFT / checkpoint.name
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(checkpoint, draft)
    shutil.copyfile(before / "metrics.jsonl", run_dir / "metrics.jsonl")
    draft.rename(own / checkpoint.name)


def rotate(folder: Path, kept: int) -> None:
    """Takes away the checkpoints with the fewest steps."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda each: int(each.name.removeprefix("checkpoint-")))
    for old in found[:-kept]:
        away = folder / DRAFT / old.name  # renamed first: a kill in between must not leave a part of it as the newest
        shutil.rmtree(away, ignore_errors=True)
        old.rename(away)
        shutil.rmtree(away)


def sweep(folder: Path) -> None:
    """Takes away what a kill left half-written or half-deleted, and the folder if nothing else is in it."""
    shutil.rmtree(folder / DRAFT, ignore_errors=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
