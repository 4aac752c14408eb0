"""Predicted memory beside what PyTorch really keeps, and beside published figures.

    .venv/bin/python benchmarks/memory.py             three tables, about a minute on 2 cores
    .venv/bin/python benchmarks/memory.py --write     puts them into docs/memory.md

1. kept: bytes that autograd keeps of a small model's forward pass, counted by `saved_tensors_hooks`. Real tensors.
2. peak: peak of whole training steps of eight layers of Mistral-7B with TRL's output layer and AdamW, counted by
   PyTorch's MemTracker on fake tensors, which have shapes but no memory.
3. published: figures that others measured on GPUs (benchmarks/memory_points.py).
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

sys.path.insert(0, str(Path(__file__).parent))
from memory_points import POINTS, estimators

from zephyr.plan import activations
from zephyr.plan.job import Job
from zephyr.plan.memory import GIB, memory_of
from zephyr.plan.shape import Shape, from_config
from zephyr.recipe.sections import Adapter

DOCS = Path(__file__).parents[1] / "docs" / "memory.md"
SMALL = {"hidden_size": 256, "intermediate_size": 896, "num_attention_heads": 8, "num_key_value_heads": 2,
         "head_dim": 32, "vocab_size": 512}  # fmt: skip
DTYPES = {4: torch.float32, 2: torch.bfloat16}


@dataclass(frozen=True)
class Case:
    """One setting that is measured."""

    name: str
    job: Job


def shape(model_type: str, layers: int, **config: Any) -> Shape:
    """A small model's shape."""
    found = from_config({"model_type": model_type, "num_hidden_layers": layers, **SMALL, **config})
    assert found is not None
    return found


def cases() -> Iterator[Case]:
    """Settings of table 1: precision, architecture, attention, length, checkpointing, adapters."""
    base = Job(shape=shape("mistral", 4), rows=2, length=192, loaded=2, attention="sdpa")
    yield Case("bfloat16", base)
    yield Case("bfloat16, length 384", replace(base, length=384))
    yield Case("bfloat16, 8 layers", replace(base, shape=shape("mistral", 8)))
    yield Case("autocast, float32 weights", replace(base, loaded=4))
    yield Case("float32", replace(base, loaded=4, bf16=False))
    yield Case("bfloat16, padded rows (sdpa with a mask)", replace(base, padded=True))
    yield Case("bfloat16, eager attention", replace(base, attention="eager"))
    for model_type in ("llama", "qwen2", "gemma"):
        yield Case(f"bfloat16, {model_type}", replace(base, shape=shape(model_type, 4)))
        yield Case(f"autocast, {model_type}", replace(base, loaded=4, shape=shape(model_type, 4)))
    yield Case("bfloat16, checkpointing", replace(base, checkpointing=True))
    yield Case("autocast, checkpointing", replace(base, loaded=4, checkpointing=True))
    lora = Adapter(r=16, lora_alpha=16)
    yield Case("LoRA on all layers", replace(base, adapter=lora))
    yield Case("LoRA on queries and values", replace(base, adapter=replace(lora, target_modules=["q_proj", "v_proj"])))
    yield Case("LoRA, float32 weights under autocast", replace(base, adapter=lora, loaded=4))
    yield Case("LoRA, checkpointing", replace(base, adapter=lora, checkpointing=True))


def model_of(job: Job) -> Any:
    """The job's model, randomly initialised."""
    model_type = job.shape.model_type
    config = AutoConfig.for_model(
        model_type, num_hidden_layers=job.shape.layers, hidden_size=job.shape.hidden, vocab_size=job.shape.vocabulary,
        intermediate_size=job.shape.intermediate, num_attention_heads=job.shape.heads,
        num_key_value_heads=job.shape.kv_heads, head_dim=job.shape.head_dim, use_cache=False,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config, attn_implementation=job.attention, dtype=DTYPES[job.loaded])
    model.train()
    if job.checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    return with_adapter(model, job)


def with_adapter(model: Any, job: Job) -> Any:
    """The model with the job's adapter on it, as PEFT makes it."""
    if job.adapter is None:
        return model
    from peft import LoraConfig, get_peft_model

    wanted = job.adapter
    return get_peft_model(model, LoraConfig(r=wanted.r, lora_alpha=int(wanted.lora_alpha), task_type="CAUSAL_LM",
                                            target_modules=wanted.target_modules))  # fmt: skip


def measured_kept(job: Job) -> int:
    """Bytes that autograd keeps of the decoder's forward pass, each storage once, weights not counted."""
    model = model_of(job)
    own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    seen: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            seen[storage._cdata] = storage.nbytes()
        return tensor

    ids = torch.randint(0, job.shape.vocabulary, (job.rows, job.length))
    mask = torch.ones_like(ids)
    if job.padded:
        mask[0, : job.length // 4] = 0
    decoder = (model.get_base_model() if job.adapter else model).model
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=job.bf16),
    ):
        states = decoder(input_ids=ids, attention_mask=mask if job.padded else None).last_hidden_state
    del states
    return sum(seen.values())


def predicted_kept(job: Job) -> float:
    """The same by the plan's formula, with the last norm, which it counts to the output layer."""
    return activations.kept(job) + job.tokens * activations._norms(job) / 2


def measured_peak(job: Job) -> float:
    """Peak bytes of training steps with TRL's output layer and AdamW, on fake tensors."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.mem_tracker import MemTracker
    from trl.trainer.utils import add_fused_lm_head

    with FakeTensorMode(allow_non_fake_inputs=True):
        model = model_of(job)
        add_fused_lm_head(model)
        optimizer = torch.optim.AdamW(model.parameters(), foreach=True)
        tracker = MemTracker()
        tracker.track_external(model, optimizer)
        ids = torch.randint(0, job.shape.vocabulary, (job.rows, job.length))
        with tracker:
            for _ in range(2):  # the first makes the optimizer's moments
                for _ in range(job.accumulation):
                    tracker.reset_mod_stats()
                    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=job.bf16):
                        loss = model(input_ids=ids, labels=ids, fused_lm_head=True).loss
                    loss.backward()
                optimizer.step()
                optimizer.zero_grad()
        return max(each["Total"] for each in tracker.get_tracker_snapshot("peak").values())


def peaks() -> Iterator[Case]:
    """Settings of table 2: eight layers of Mistral-7B, few words: the output layer takes another form on a CPU."""
    mistral = Shape(model_type="mistral", layers=8, hidden=4096, intermediate=14336, heads=32, kv_heads=8, head_dim=128,
                    vocabulary=1000)  # fmt: skip
    base = Job(shape=mistral, rows=2, length=2048, attention="sdpa", padded=True)  # fake tensors always get a mask
    yield Case("autocast, float32 weights, 2 x 2048", base)
    yield Case(
        "autocast, 8 x 2048, checkpointing, accumulation 2", replace(base, rows=8, checkpointing=True, accumulation=2)
    )
    yield Case("bfloat16, 1 x 2048", replace(base, loaded=2, rows=1))
    yield Case("bfloat16, 8 x 2048", replace(base, loaded=2, rows=8))
    yield Case("bfloat16, 16 x 2048, checkpointing", replace(base, loaded=2, rows=16, checkpointing=True))


def tables() -> str:
    """All tables as Markdown."""
    text = ["### What autograd keeps, counted on real tensors (KiB)\n", "| setting | predicted | counted | error |",
            "|---|---:|---:|---:|"]  # fmt: skip
    text += [_row(case.name, predicted_kept(case.job), measured_kept(case.job), 1024) for case in cases()]
    text += ["\n### Peak of training steps, eight layers of Mistral-7B, counted on fake tensors (GiB)\n",
             "| setting | predicted | counted | error |", "|---|---:|---:|---:|"]  # fmt: skip
    text += [_row(case.name, memory_of(case.job, overhead=False).total, measured_peak(case.job), GIB)
             for case in peaks()]  # fmt: skip
    return "\n".join(text) + "\n\n" + published()


def published() -> str:
    """Table 3."""
    text = ["### Published figures (GB of 10^9 bytes, per GPU)\n",
            "| run | predicted | published | error | accelerate | DeepSpeed |",
            "|---|---:|---:|---:|---:|---:|"]  # fmt: skip
    for point in POINTS:
        others = [
            f"{value / 1e9:.1f} ({value / point.bytes - 1:+.0%})" if value else "-" for value in estimators(point)
        ]
        text.append(_row(point.name, point.predicted, point.bytes, 1e9) + " " + " | ".join(others) + " |")
    return "\n".join(text) + "\n"


def _row(name: str, predicted: float, measured: float, unit: float) -> str:
    return f"| {name} | {predicted / unit:,.1f} | {measured / unit:,.1f} | {predicted / measured - 1:+.1%} |"


def main() -> None:
    torch.set_num_threads(1)  # tensors are tiny, and several threads only wait for one another
    options = argparse.ArgumentParser()
    options.add_argument("--write", action="store_true", help="into docs/memory.md")
    write = options.parse_args().write
    text = tables()
    print(text)
    if write:
        before, after = DOCS.read_text().split("<!-- tables -->")[::2]
        DOCS.write_text(f"{before}<!-- tables -->\n{text}<!-- tables -->{after}")


if __name__ == "__main__":
    main()
