"""Stops a run that is asked to (Ctrl-C, preemption, a time limit nearing): all processes together, checkpoint first."""

import logging
import signal
import threading
from types import FrameType
from typing import Any

import torch
import torch.distributed
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Ctrl-C; what schedulers send before they kill; what Slurm's `--signal` is told to send."""
log = logging.getLogger("zephyr")


class StopWhenAsked(TrainerCallback):
    """After a signal the optimizer step is finished, a checkpoint written and training ended, on every process."""

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None
        self.stopped_at: int | None = None
        in_main_thread = threading.current_thread() is threading.main_thread()  # elsewhere Python allows no handlers
        self.before = {each: signal.signal(each, self._note) for each in SIGNALS if in_main_thread}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if self.asked == signal.SIGINT:  # typed twice: at once
                raise KeyboardInterrupt
            log.info("\n  stopping after this step, with a checkpoint; Ctrl-C again: at once")
        self.asked = signal.Signals(number)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Asks all processes whether one of them was asked; if so, this step is the last for now."""
        if not self._anyone(args) or state.global_step >= state.max_steps:
            return
        self.stopped_at = state.global_step
        control.should_save = control.should_training_stop = True

    def _anyone(self, args: TrainingArguments) -> bool:
        if args.world_size == 1:
            return self.asked is not None
        flag = torch.tensor(int(self.asked is not None), device=args.device)
        torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
        return bool(flag.item())

    def restore(self) -> None:
        """Gives the signals back to whoever had them."""
        for number, handler in self.before.items():
            signal.signal(number, handler)
