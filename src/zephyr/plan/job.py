"""What memory is reckoned from: one training process, as the code really sets it up."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from zephyr.plan.shape import Shape, adapter_parameters, loaded_dtype
from zephyr.recipe.schema import DpoRecipe, TrainRecipe
from zephyr.recipe.sections import Adapter

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One process of a training run."""

    shape: Shape
    """The model."""
    rows: int
    """Sequences in one forward pass (for dDPO two per pair)."""
    length: int
    """Tokens of a sequence, padding included."""
    strategy: str = "single"
    """`single`, `ddp`, `zero2`, `zero3` or `fsdp2`."""
    processes: int = 1
    """Processes in all."""
    machines: int = 1
    """Machines they are spread over."""
    shard_within_machine: bool = False
    """Whether every machine keeps a copy of the weights (hpZ, HSDP)."""
    accumulation: int = 1
    """Forward passes per optimizer step."""
    loaded: int = 4
    """Bytes of a weight as it is loaded."""
    bf16: bool = True
    """Whether products are computed in bfloat16 (autocast, or DeepSpeed's bf16)."""
    optimizer: str = "adamw_torch"
    """transformers' name."""
    adapter: Adapter | None = None
    """Adapter that trains instead of the weights."""
    nf4: bool = False
    """Whether the linear layers are kept in 4 bits."""
    checkpointing: bool = False
    """Whether activations are recomputed in the backward pass."""
    attention: str = "flash_attention_2"
    """`flash_attention_2`, `sdpa` or `eager`."""
    differing: bool = False
    """Whether rows differ in length from batch to batch, padded or not."""
    padded: bool = False
    """Whether rows of a batch differ in length: sdpa then needs a mask."""
    reference: Literal["none", "model", "adapter"] = "none"
    """What dDPO has in memory beside the policy: nothing (adapter switched off), a whole model, an adapter."""
    head: Literal["fused", "whole", "half"] = "fused"
    """`fused`: TRL's output layer, in tiles; `whole`: all logits at once, their loss in float32; `half`: in 16 bits."""

    @property
    def tokens(self) -> int:
        """Tokens in one forward pass."""
        return self.rows * self.length

    @property
    def deepspeed(self) -> bool:
        """Whether DeepSpeed holds the weights: in 16 bits with float32 masters."""
        return self.strategy in ("zero2", "zero3")

    @property
    def compute(self) -> int:
        """Bytes of a number in a matrix product."""
        return 2 if self.bf16 else self.loaded

    @property
    def weight(self) -> int:
        """Bytes of a weight on the device; accelerate raises what FSDP2 trains to float32."""
        if self.deepspeed:
            return self.compute
        return 4 if self.strategy == "fsdp2" and self.adapter is None and self.bf16 else self.loaded

    @property
    def residual(self) -> int:
        """Bytes of a number between layers: autocast leaves it in the weights' precision, sharding casts the inputs."""
        return self.compute if self.deepspeed or self.strategy == "fsdp2" else self.loaded

    @property
    def autocast(self) -> bool:
        """Whether weights in float32 are cast to bfloat16 in each forward pass."""
        return self.bf16 and self.residual == 4

    @property
    def trained(self) -> int:
        """Weights that train."""
        return self.shape.parameters if self.adapter is None else adapter_parameters(self.shape, self.adapter)

    @property
    def trained_bytes(self) -> int:
        """Bytes of a weight that trains: PEFT keeps adapters in float32, DeepSpeed all it holds in 16 bits."""
        return self.weight if self.adapter is None or self.deepspeed else 4

    @property
    def shards(self) -> int:
        """Processes that share one copy of the optimizer's state (and, under ZeRO-3 and FSDP2, of the weights)."""
        if self.strategy in ("single", "ddp"):
            return 1
        inside = self.strategy == "fsdp2" and self.shard_within_machine
        return self.processes // self.machines if inside else self.processes


def job_of(
    recipe: TrainRecipe,
    shape: Shape,
    *,
    strategy: str,
    processes: int,
    micro_batch_size: int,
    checkpointing: bool,
    starts_from_adapter: bool = False,
) -> Job:
    """The job of a recipe for a way to cut it; the longest rows that its data can have."""
    model, train = recipe.model, recipe.train
    dpo = isinstance(recipe, DpoRecipe)
    reference: Literal["none", "model", "adapter"] = "none"  # its log-probabilities are looked up while training
    if dpo and recipe.adapter is not None and starts_from_adapter:
        reference = "adapter"
    elif dpo and recipe.trl.get("sync_ref_model"):
        reference = "model"
    return Job(
        shape=shape,
        rows=micro_batch_size * (2 if dpo else 1),
        length=recipe.data.max_length,
        strategy=strategy,
        processes=processes,
        machines=recipe.launch.machines if processes == recipe.launch.processes else 1,
        shard_within_machine=recipe.launch.shard_within_machine,
        accumulation=max(train.global_batch_size // (micro_batch_size * processes), 1),
        loaded=loaded_bytes(recipe, shape),
        bf16=train.bf16,
        optimizer=train.optim,
        adapter=recipe.adapter,
        nf4=model.quantization == "nf4",
        checkpointing=checkpointing,
        attention=attention_kernel(recipe),
        differing=getattr(recipe.data, "packing", "none") == "none",
        padded=recipe.launch.padding_free is False if dpo else getattr(recipe.data, "packing", "none") == "none",
        reference=reference,
    )


def loaded_bytes(recipe: TrainRecipe, shape: Shape) -> int:
    """Bytes of a weight as `from_pretrained` loads it; a random model is made in float32 unless the recipe says."""
    auto = "float32" if recipe.model.config is not None else shape.dtype
    dtype = loaded_dtype(recipe)
    return BYTES.get(auto if dtype == "auto" else dtype, 4)


def attention_kernel(recipe: TrainRecipe) -> str:
    """The attention kernel: the recipe's, or for `auto` FlashAttention-2 where it is installed, on a GPU."""
    wanted = recipe.model.attn_implementation
    if wanted != "auto":
        return wanted
    return "flash_attention_2" if recipe.launch.device != "cpu" and has_flash_attention_2() else "sdpa"


def has_flash_attention_2() -> bool:
    """Whether FlashAttention-2 is installed: the distribution, since others of its family bring a `flash_attn` too."""
    try:
        version("flash-attn")
    except PackageNotFoundError:
        return False
    return True
