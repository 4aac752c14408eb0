"""What a device can do: the figures that hours and memory are reckoned with."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Device:
    """One accelerator."""

    tflops: float
    """Peak of dense bfloat16 products with float32 sums, in 10^12 operations a second, by its maker's data sheet."""
    memory_gib: float
    """Memory in all, as `nvidia-smi` (or `rocm-smi`) reports it."""
    bf16: bool = True
    """Whether it computes in bfloat16."""


DEVICES: dict[str, Device] = {
    "a100-80gb": Device(tflops=312, memory_gib=80.0),
    "a100-40gb": Device(tflops=312, memory_gib=40.0),
    "h100-80gb": Device(tflops=989, memory_gib=79.6),  # SXM
    "h200-141gb": Device(tflops=989, memory_gib=140.4),
    "b200-192gb": Device(tflops=2250, memory_gib=179.1),
    "mi300x-192gb": Device(tflops=1307, memory_gib=192.0),
    "l40s-48gb": Device(tflops=362, memory_gib=45.0),
    "a6000-48gb": Device(tflops=155, memory_gib=48.0),
    "rtx-5090-32gb": Device(tflops=210, memory_gib=31.8),
    "rtx-4090-24gb": Device(tflops=165, memory_gib=24.0),
    "rtx-3090-24gb": Device(tflops=71, memory_gib=24.0),
    "a10g-24gb": Device(tflops=70, memory_gib=22.5),
    "l4-24gb": Device(tflops=121, memory_gib=22.5),
    "t4-16gb": Device(tflops=65, memory_gib=15.0, bf16=False),  # the peak is float16's
}
"""Names of `launch.device` -> figures; `cpu` has none, its memory and speed are the machine's own."""


def device_of(name: str | None) -> Device | None:
    """The device of a recipe, or None where nothing can be reckoned for it."""
    return DEVICES.get(name or "")
