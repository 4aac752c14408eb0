"""Memory that others measured on GPUs, each with the settings it was measured at and its source.

Figures are bytes per GPU. Where a source says GB without more, it is read as 10^9 bytes; Qwen's table must mean
that, or its last run could not have been (81 GB on a card of 80 GiB). Points without published lengths are left out.
"""

from dataclasses import dataclass, replace

from zephyr.plan import states
from zephyr.plan.job import Job
from zephyr.plan.memory import memory_of
from zephyr.plan.shape import Shape
from zephyr.recipe.sections import Adapter

GB, GIB = 10**9, 2**30


@dataclass(frozen=True, kw_only=True)
class Point:
    """One published figure, or a difference of two."""

    name: str
    job: Job
    bytes: float
    source: str
    minus: Job | None = None
    """Where the figure is a difference: the job whose memory is taken off."""
    overhead: bool = True
    """Whether the figure has the CUDA context and what the allocator holds (nvidia-smi, memory reserved)."""
    between_steps: bool = False
    """Whether the figure was taken between steps: weights, gradients and moments alone."""

    @property
    def predicted(self) -> float:
        """What the plan's formulas say, in bytes."""
        if self.between_steps:
            return sum(part(self.job) for part in (states.weights, states.adapter, states.gradients, states.optimizer))
        other = memory_of(self.minus, overhead=self.overhead).total if self.minus else 0.0
        return memory_of(self.job, overhead=self.overhead).total - other


def estimators(point: Point) -> tuple[float | None, float | None]:
    """What today's tools say of full fine-tuning: accelerate's `estimate-memory`, and DeepSpeed's ZeRO-3 states.

    accelerate (`estimate_training_usage`, float16): the largest of weights, gradients and twice the float32 weights; it
    knows no sharding. DeepSpeed (`estimate_zero3_model_states_mem_needs`): 4 bytes of the largest layer, 18 a weight
    over the GPUs.
    """
    if point.job.adapter is not None or point.minus is not None or point.between_steps:
        return None, None
    shape = point.job.shape
    accelerate = 2 * 4 * shape.parameters
    return accelerate, 4 * shape.embedding + 18 * shape.parameters / point.job.processes


def _qwen(layers: int, hidden: int, intermediate: int, heads: int, words: int = 151936) -> Shape:
    return Shape(model_type="qwen2", layers=layers, hidden=hidden, intermediate=intermediate, heads=heads,
                 kv_heads=heads, head_dim=hidden // heads, vocabulary=words, qkv_bias=True)  # fmt: skip


QWEN_1_8B, QWEN_7B = _qwen(24, 2048, 5504, 16), _qwen(32, 4096, 11008, 32)
QWEN_14B = _qwen(40, 5120, 13696, 40, 152064)
QWEN2_5_7B = Shape(model_type="qwen2", layers=28, hidden=3584, intermediate=18944, heads=28, kv_heads=4, head_dim=128,
                   vocabulary=152064, qkv_bias=True, dtype="bfloat16")  # fmt: skip
LLAMA2_7B = Shape(model_type="llama", layers=32, hidden=4096, intermediate=11008, heads=32, kv_heads=32, head_dim=128,
                  vocabulary=32000, dtype="bfloat16")  # fmt: skip
LLAMA3_8B = Shape(model_type="llama", layers=32, hidden=4096, intermediate=14336, heads=32, kv_heads=8, head_dim=128,
                  vocabulary=128256, dtype="bfloat16")  # fmt: skip
LLAMA3_3B = Shape(model_type="llama", layers=28, hidden=3072, intermediate=8192, heads=24, kv_heads=8, head_dim=128,
                  vocabulary=128256, tied=True, dtype="bfloat16")  # fmt: skip

QWEN_TABLE = "QwenLM/Qwen, README, 'Profiling of Memory and Speed'; finetune.py, finetune_*.sh (one A100-80GB)"
LENGTHS = (256, 512, 1024, 2048, 4096, 8192)
# c_attn, c_proj (of attention and MLP), w1, w2: every linear layer of a decoder layer; rank 64, dropout 0.05
QWEN_LORA = Adapter(r=64, lora_alpha=16, lora_dropout=0.05)
_QWEN = Job(
    shape=QWEN_7B, rows=1, length=256, loaded=2, accumulation=8, adapter=QWEN_LORA, checkpointing=True, head="whole"
)


def _qwen_row(name: str, job: Job, figures: tuple[float, ...], processes: int = 1) -> list[Point]:
    return [
        Point(name=f"{name}, {length} tokens", job=replace(job, length=length), bytes=figure / processes * GB,
              source=QWEN_TABLE)
        for length, figure in zip(LENGTHS, figures, strict=False)
    ]  # fmt: skip


# The QLoRA script runs DeepSpeed ZeRO-2 in float16; of the full runs no stage is said; only ZeRO-3 fits 2 cards.
# Under DeepSpeed there is no autocast, so Qwen's modelling code takes the loss of 16-bit logits. GPTQ's 4 bits weigh as
# much as nf4's.
_QLORA = replace(_QWEN, nf4=True, strategy="zero2", head="half")
_full = replace(_QWEN, adapter=None, strategy="zero3", head="half")
_swift = Job(shape=QWEN2_5_7B, rows=1, length=8192, loaded=2, strategy="zero3", processes=4, accumulation=2,
             checkpointing=True, head="whole")  # fmt: skip
_titan = Job(shape=LLAMA3_8B, rows=1, length=32768, strategy="fsdp2", processes=8, checkpointing=True, head="whole")
_litgpt_lora = Adapter(r=8, lora_alpha=16, lora_dropout=0.05, target_modules=["q_proj", "v_proj"])
_litgpt = Job(shape=LLAMA2_7B, rows=1, length=1304, loaded=2, accumulation=128, attention="sdpa", head="whole",
              adapter=_litgpt_lora)  # fmt: skip
_peft = Job(shape=LLAMA3_3B, rows=4, length=1, loaded=2, accumulation=2, attention="sdpa", head="whole")
SWIFT, TITAN = "modelscope/ms-swift, examples/train/liger/sft.sh (4 A100)", "pytorch/torchtitan, benchmarks 2024-12"
LITGPT = "Lightning-AI/litgpt, tutorials/resource-tables.md (A100-40GB, Alpaca, longest row 1,304 tokens)"
PEFT = "huggingface/peft, method_comparison/MetaMathQA/results, 'mem allocated avg' (L40S)"

POINTS: list[Point] = [
    *_qwen_row("Qwen-7B LoRA", _QWEN, (20.1, 20.4, 21.5, 23.8, 29.7, 36.6)),
    *_qwen_row("Qwen-1.8B LoRA", replace(_QWEN, shape=QWEN_1_8B), (6.7, 7.4, 8.4, 11.0, 16.2, 21.8)),
    *_qwen_row("Qwen-14B LoRA", replace(_QWEN, shape=QWEN_14B), (34.6, 35.1, 35.3, 37.4, 42.5, 55.2)),
    *_qwen_row("Qwen-7B QLoRA", _QLORA, (11.5, 11.5, 12.3, 13.9, 16.9, 23.5)),
    *_qwen_row("Qwen-14B QLoRA", replace(_QLORA, shape=QWEN_14B), (18.7, 18.4, 18.9, 19.9, 23.0, 27.9)),
    *_qwen_row("Qwen-1.8B full, ZeRO, 1 GPU", replace(_full, shape=QWEN_1_8B), (43.5, 43.5, 43.5, 43.5, 47.1, 48.3)),
    *_qwen_row("Qwen-7B full, ZeRO-3, 2 GPUs", replace(_full, processes=2), (139.2, 148.0, 162.0), 2),
    Point(name="Qwen2.5-7B full, ZeRO-3, 4 GPUs, packed 8192", job=_swift, bytes=54 * GB, source=SWIFT),
    Point(name="the same with Liger's loss", job=replace(_swift, head="fused"), bytes=42 * GB, source=SWIFT),
    Point(name="Llama-3.1-8B full, FSDP2, 8 GPUs, 32,768", job=_titan, bytes=83.9 * GIB, source=f"{TITAN}, table 2"),
    Point(name="Llama-3.1-8B, FSDP2: 8 GPUs less 128 GPUs", job=replace(_titan, length=8192, rows=2),
          minus=replace(_titan, length=8192, rows=2, processes=128), bytes=(82.4 - 67.0) * GIB,
          source=f"{TITAN}, tables 1 and 3"),
    Point(name="Llama-2-7B LoRA, 1,304 tokens", job=_litgpt, bytes=21.30 * GB, source=LITGPT, overhead=False),
    Point(name="Llama-2-7B LoRA, 2 x 1,304 tokens", job=replace(_litgpt, rows=2), bytes=29.07 * GB, source=LITGPT,
          overhead=False),
    Point(name="Llama-2-7B QLoRA, 1,304 tokens", job=replace(_litgpt, nf4=True), bytes=13.84 * GB, source=LITGPT,
          overhead=False),
    Point(name="Llama-3.2-3B full, between steps", job=_peft, bytes=26.06 * GB, source=PEFT,
          between_steps=True),
    Point(name="Llama-3.2-3B LoRA, between steps", job=replace(_peft, adapter=replace(_litgpt_lora, r=32)),
          bytes=6.92 * GB, source=PEFT, between_steps=True),
]  # fmt: skip
