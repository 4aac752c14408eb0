"""Whether `launch.torch_compile` pays for a run: what published runs saved, where its conditions hold."""

from zephyr.plan.job import Job

FASTER = (1.157, 1.27)
"""Published speed-ups on packed rows: torchtitan, Llama 3.1 8B on 8 H100; torchtune, Llama 3.2 3B on an A100."""
COMPILING_HOURS = 0.1
"""What the first steps take longer, about."""


def compile_verdict(job: Job, hours: float) -> str:
    """One sentence: whether compiling pays, and why.

    Args:
        job: one process of the run.
        hours: of the run without it.
    """
    if job.differing:
        return "does not pay: rows differ in length, and each new length is compiled again"
    least, most = (hours * (1 - 1 / factor) for factor in FASTER)
    if most <= COMPILING_HOURS:
        return f"does not pay: it would save {most:.2f} h at most, and compiling takes about as long"
    saving = f"about {least:.2g} to {most:.2g} h of {hours:.2f} (published runs on packed rows)"
    if job.nf4 or job.strategy == "zero3":
        why = "4-bit layers" if job.nf4 else "ZeRO-3's hooks"
        return f"may save {saving}, less where {why} break the graph: try a few steps of both"
    return f"pays: {saving}"
