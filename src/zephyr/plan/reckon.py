"""What a run needs and takes: memory, hours, cost and disk, for the hardware that its recipe names."""

from dataclasses import dataclass
from typing import Any

from zephyr.plan.choose import Choice
from zephyr.plan.compile import compile_verdict
from zephyr.plan.devices import Device, device_of
from zephyr.plan.job import Job, job_of
from zephyr.plan.memory import GIB, Memory, memory_of
from zephyr.plan.shape import Shape
from zephyr.plan.stack import Stack
from zephyr.plan.ways import Way, ways_to_fit
from zephyr.plan.work import Disk, Work, disk_of, tokens_of, work_of
from zephyr.recipe.schema import TrainRecipe

TIGHT = 0.92
"""Share of a device's memory above which the formulas' error, about 10 %, may matter."""
WORTH_A_CONTEXT = 100_000_000
"""Weights above which a run without a device named is taken to be on a GPU."""


@dataclass(frozen=True, kw_only=True)
class Reckoning:
    """The figures of a run."""

    shape: Shape
    """The model."""
    job: Job
    """One of its processes."""
    memory: Memory
    """That process's peak."""
    device: Device | None
    """The device planned with."""
    work: Work | None
    """What it computes; None while the tokens are not known."""
    disk: Disk
    """What it writes."""
    ways: tuple[Way, ...]
    """What to change if it does not fit."""
    mfu: float
    """Share of the device's peak that hours are reckoned with."""
    price: float | None
    """Cost of a GPU for an hour."""

    @property
    def fits(self) -> bool | None:
        """Whether it fits into the device's memory; None without a device."""
        return None if self.device is None else self.memory.gib <= self.device.memory_gib

    @property
    def tight(self) -> bool:
        """Whether it fits so closely that the formulas may be wrong about it."""
        return self.device is not None and TIGHT * self.device.memory_gib < self.memory.gib <= self.device.memory_gib

    @property
    def hours(self) -> float | None:
        """Hours of training."""
        if self.device is None or self.work is None:
            return None
        return self.work.hours(self.device, self.job.processes, self.mfu)

    @property
    def gpu_hours(self) -> float | None:
        """Hours times GPUs."""
        return None if self.hours is None else self.hours * self.job.processes

    @property
    def cost(self) -> float | None:
        """In the currency of the recipe's price."""
        return None if self.gpu_hours is None or self.price is None else self.gpu_hours * self.price

    def as_json(self) -> dict[str, Any]:
        """Flat figures, rounded to what they are worth."""
        work, device = self.work, self.device
        return {
            "parameters": self.shape.parameters,
            "trained_parameters": self.job.trained,
            "memory_gib_per_gpu": _rounded(self.memory.gib),
            "memory_gib": {part: _rounded(value / GIB) for part, value in self.memory.parts.items()},
            "device_memory_gib": device.memory_gib if device else None,
            "fits": self.fits,
            "to_fit": [list(way.overrides) for way in self.ways],
            "epoch_tokens": work.tokens.count if work else None,
            "epoch_tokens_basis": work.tokens.basis if work else None,
            "flops": work.model_flops if work else None,
            "hardware_flops": work.hardware_flops if work else None,
            "hours": _rounded(self.hours),
            "gpu_hours": _rounded(self.gpu_hours),
            "torch_compile": compile_verdict(self.job, self.hours) if self.hours else None,
            "cost": _rounded(self.cost),
            "disk_gib": _rounded(self.disk.peak / GIB),
            "checkpoint_gib": _rounded(self.disk.checkpoint / GIB),
        }


NOTHING_KNOWN = dict.fromkeys(
    ("parameters", "trained_parameters", "memory_gib_per_gpu", "memory_gib", "device_memory_gib", "fits", "to_fit",
     "epoch_tokens", "epoch_tokens_basis", "flops",
     "hardware_flops", "hours", "gpu_hours", "torch_compile", "cost", "disk_gib", "checkpoint_gib")
)  # fmt: skip
"""The same keys where the model's shape is not known."""


def reckon(
    recipe: TrainRecipe, choice: Choice, shape: Shape, stack: Stack, counted: dict[str, Any] | None
) -> Reckoning:
    """The figures of a run.

    Args:
        recipe: the training recipe.
        choice: how it is cut.
        shape: of its model.
        stack: what trains on what.
        counted: counts of its training rows, where they are known.
    """
    launch = recipe.launch
    job = job_of(recipe, shape, strategy=choice.strategy, processes=launch.processes,
                 micro_batch_size=choice.micro_batch_size, checkpointing=choice.gradient_checkpointing,
                 starts_from_adapter=stack.name == "adapter-on-adapter")  # fmt: skip
    device = device_of(launch.device)
    on_gpu = device is not None or (launch.device is None and shape.parameters > WORTH_A_CONTEXT)
    memory = memory_of(job, overhead=on_gpu)
    tokens = tokens_of(recipe, counted)
    full = device is not None and memory.gib > device.memory_gib
    return Reckoning(
        shape=shape,
        job=job,
        memory=memory,
        device=device,
        work=work_of(recipe, job, tokens) if tokens else None,
        disk=disk_of(recipe, job, stack),
        ways=tuple(ways_to_fit(recipe, job, choice, device)) if full and device else (),
        mfu=launch.mfu,
        price=launch.price_per_gpu_hour,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
