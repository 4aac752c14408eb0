"""The part of the plan's page that says what a run needs and takes."""

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from zephyr.plan.compile import compile_verdict
from zephyr.plan.job import Job, attention_kernel
from zephyr.plan.memory import GIB
from zephyr.plan.plan import Plan
from zephyr.plan.reasons import reasons
from zephyr.plan.reckon import Reckoning
from zephyr.recipe.problems import listed
from zephyr.recipe.schema import DpoRecipe, TrainRecipe
from zephyr.report.wording import times

BAR = 30
"""Characters of a whole device's memory."""
DEVICE = "launch.device=a100-80gb"
"""An example of naming a device."""


def show_figures(plan: Plan, console: Console) -> None:
    """Prints what trains, on what, how much memory that takes, and for how long."""
    recipe = plan.loaded.recipe
    if not isinstance(recipe, TrainRecipe):
        return
    reckoning = plan.reckoning
    if reckoning is None:
        console.print(Text.assemble(("Memory, hours  ", "bold"), _unknown(recipe)))
        return
    console.print(_grid(_what_trains(plan, reckoning)))
    console.print()
    if recipe.launch.device is None or recipe.launch.device == "cpu":
        console.print(_grid(_without_device(recipe, reckoning)))
    else:
        _show_memory(recipe, reckoning, console)
        console.print(_grid(_time_and_disk(recipe, reckoning)))


def _what_trains(plan: Plan, reckoning: Reckoning) -> Iterator[tuple[str, str]]:
    recipe, choice, job = plan.loaded.recipe, plan.choice, reckoning.job
    assert isinstance(recipe, TrainRecipe) and choice is not None and plan.stack is not None
    share = job.trained / (reckoning.shape.parameters + (job.trained if job.adapter else 0))
    for label, sentence in plan.stack.sentences().items():
        count = f": {job.trained:,} ({share:.2%} of all)" if job.adapter else f": {job.trained:,}"
        yield label, sentence + (count if label == "trains" else "")
    yield "cut by", _cut(recipe, plan, job)
    if reckoning.device is not None:
        for n, reason in enumerate(reasons(recipe, choice, job, reckoning.device)):
            yield "" if n else "because", reason
    kernel = attention_kernel(recipe)
    if recipe.launch.device not in (None, "cpu"):
        found = {"sdpa": "sdpa (FlashAttention-2 is not installed here)", "flash_attention_2": "FlashAttention-2"}
        automatic = recipe.model.attn_implementation == "auto"
        yield "attention", found.get(kernel, kernel) if automatic else kernel


def _cut(recipe: TrainRecipe, plan: Plan, job: Job) -> str:
    """Strategy, recomputation, micro-batch, and which of them were chosen."""
    launch, choice = recipe.launch, plan.choice
    assert choice is not None
    recomputed = "activations recomputed" if choice.gradient_checkpointing else "activations kept"
    wanted = {"strategy": launch.strategy, "micro-batch": launch.micro_batch_size,
              "recomputation": launch.gradient_checkpointing}  # fmt: skip
    chosen = [name for name, value in wanted.items() if value == "auto"]
    text = (
        f"{choice.strategy}, micro-batch {choice.micro_batch_size} ({job.rows} x {job.length:,} tokens), {recomputed}"
    )
    return text + (f"; `auto` chose {listed(chosen, 'and')}" if chosen else "")


def _show_memory(recipe: TrainRecipe, reckoning: Reckoning, console: Console) -> None:
    device, memory, job = reckoning.device, reckoning.memory, reckoning.job
    assert device is not None
    moment = {"backward": "in the backward pass", "step": "in the optimizer step"}[memory.moment]
    title = f"Memory of one {recipe.launch.device}, GiB, at its peak {moment}"
    console.print(title, style="italic", highlight=False)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for part, value in memory.parts.items():
        if value >= 0.005 * GIB:
            table.add_row(part, f"{value / GIB:.1f}", Text(_explained(part, job, memory.moment), style="dim"))
    filled = min(round(BAR * memory.gib / device.memory_gib), BAR)
    colour = "red" if not reckoning.fits else "yellow" if reckoning.tight else "green"
    bar = Text.assemble(("█" * filled, colour), ("░" * (BAR - filled), "dim"))
    verdict = "does not fit" if not reckoning.fits else "fits, closely" if reckoning.tight else "fits"
    bar.append_text(
        Text.assemble(f" {memory.gib / device.memory_gib:.0%} of {device.memory_gib:g}: ", (verdict, colour))
    )
    table.add_row(Text("in all", style="bold"), Text(f"{memory.gib:.1f}", style="bold"), bar)
    console.print(table)
    if reckoning.tight:
        console.print("The formulas are right within about 10 % (docs/memory.md): it may not fit.", style="dim")
    _show_ways(reckoning, console)
    if recipe.train.bf16 and not device.bf16:
        console.print(f"A {recipe.launch.device} has no bfloat16: train.bf16=false", style="yellow")
    console.print()


def _explained(part: str, job: Job, moment: str) -> str:
    """What a part holds, in a few words."""
    stepping = ", and what a step needs" if moment == "step" else ""
    shard = f", 1/{job.shards} of them" if job.shards > 1 else ""
    sharded = shard if job.strategy in ("zero3", "fsdp2") else ""
    precision = {2: "16 bits", 4: "float32"}
    moments = {"adamw_torch": "two moments", "adamw_torch_fused": "two moments", "rmsprop": "one moment",
               "adafactor": "rows and columns", "sgd": "nothing"}[job.optimizer]  # fmt: skip
    return {
        "weights": ("linear layers in 4 bits (nf4)" if job.nf4 else precision[job.weight]) + sharded,
        "adapter": precision[job.trained_bytes],
        "gradients": precision[job.trained_bytes] + shard,
        "optimizer": ("float32 weights and " if job.deepspeed else "") + moments + shard + stepping,
        "reference": "the frozen copy" + sharded,
        "activations": f"{job.tokens:,} tokens" + (", one layer recomputed at a time" if job.checkpointing else ""),
        "logits": "output layer, in tiles",
        "buffers": "communication: gathered weights, buckets of gradients",
        "overhead": "CUDA, NCCL, what the allocator can't reuse",
    }[part]


def _show_ways(reckoning: Reckoning, console: Console) -> None:
    if reckoning.fits:
        return
    if not reckoning.ways:
        console.print("No cut of this run fits: take a larger device, or a shorter data.max_length.")
        return
    console.print("To make it fit, add to the command:")
    for way in reckoning.ways:
        overrides = escape(" ".join(way.overrides))
        console.print(
            f"  {overrides}\n    [dim]{way.gib:.1f} GiB; {escape(way.meaning)}[/dim]", highlight=False, soft_wrap=True
        )


def _without_device(recipe: TrainRecipe, reckoning: Reckoning) -> Iterator[tuple[str, str]]:
    parts = [f"{name} {value / GIB:.2g}" for name, value in reckoning.memory.parts.items() if value >= 0.05 * GIB]
    detail = f" ({', '.join(parts)})" if parts else ""
    yield "memory", f"{_gib(reckoning.memory.total)} a process{detail}"
    yield "disk", _disk(recipe, reckoning)
    if recipe.launch.device is None:
        yield "hours", f"{DEVICE} (or another) would reckon them"


def _time_and_disk(recipe: TrainRecipe, reckoning: Reckoning) -> Iterator[tuple[str, str]]:
    work, job, hours, cost = reckoning.work, reckoning.job, reckoning.hours, reckoning.cost
    if work is None or hours is None:
        yield "hours", "known once the data is counted, or `expect.sequences` says how many rows there are"
    else:
        most = "at most " if work.tokens.basis == "at most" else ""
        basis = {"counted": "counted", "expected": "expected", "at most": "if every row were full"}[work.tokens.basis]
        yield "tokens", f"{work.tokens.count / 1e6:,.1f} M an epoch ({basis}), {work.model_flops:.3g} FLOPs in all"
        gpus = f"{reckoning.gpu_hours:,.0f} GPU-hours" if job.processes > 1 else "on one GPU"
        price = f" = {cost:,.0f} at {reckoning.price:g} an hour" if cost is not None else ""
        yield "hours", f"{most}{hours:,.2f} at {reckoning.mfu:.0%} of the peak (launch.mfu); {gpus}{price}"
        if job.checkpointing:
            share = work.hardware_flops / work.model_flops - 1
            yield "", f"recomputation is {share:.0%} more work, which such a share counts as none"
        verdict = compile_verdict(job, hours)
        yield "torch.compile", verdict + ("" if recipe.launch.torch_compile else "; off (launch.torch_compile)")
    if job.strategy == "fsdp2":
        yield "host memory", _host_memory(recipe, job)
    yield "disk", _disk(recipe, reckoning)


def _host_memory(recipe: TrainRecipe, job: Job) -> str:
    """What loading takes: under FSDP2 each process has the whole model on its CPU before it is sharded."""
    with_reference = isinstance(recipe, DpoRecipe) and recipe.adapter is None
    here = job.processes // job.machines
    size = here * job.loaded * job.shape.parameters * (2 if with_reference else 1)
    what = "policy and reference" if with_reference else "model"
    return f"{_gib(size)} on each machine while it starts: {times(here, 'process', 'processes')} load the whole {what}"


def _disk(recipe: TrainRecipe, reckoning: Reckoning) -> str:
    disk = reckoning.disk
    kind = "adapter" if reckoning.job.adapter else "model"
    start = f", merged start {_gib(disk.start)}" if disk.start else ""
    if not disk.checkpoint:
        return f"{_gib(disk.model)} {kind}{start}; no checkpoints (train.save_steps)"
    left, at_most = (round(size / disk.checkpoint) for size in (disk.left, disk.peak - disk.model - disk.start))
    checkpoints = f"{times(at_most, 'checkpoint')} of {_gib(disk.checkpoint)} ({left} of them left at the end)"
    return f"{_gib(disk.peak)} at most: {checkpoints}, {kind} {_gib(disk.model)}{start}"


def _gib(value: float) -> str:
    return f"{value / GIB:,.1f} GiB" if value >= 0.1 * GIB else f"{value / 2**20:,.1f} MiB"


def _unknown(recipe: TrainRecipe) -> str:
    name = recipe.model.model_name_or_path
    if name is None:
        return "not known: `model.config` is not of an architecture that the plan can count (or lacks its sizes)"
    if name.startswith("/"):
        return "known once the model that the recipe starts from is there, or its start's config.json is"
    return f"not known: no config.json of {name} here, or not one of the Llama family; `hf download {name} config.json`"


def _grid(rows: Iterator[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, min_width=13)
    table.add_column(overflow="fold")
    for label, text in rows:
        table.add_row(label, Text(text))
    return table
