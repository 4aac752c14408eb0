"""Runs that go wrong are stopped, with the step, the batch and the cause."""

import json
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM, set_seed
from trl import DPOConfig, SFTConfig

from zephyr.data import Counts
from zephyr.recipe import load
from zephyr.run import execute
from zephyr.train.dpo import collapse
from zephyr.train.guards import GuardedDPOTrainer, GuardedSFTTrainer, TrainingStopped

CONFIG = MistralConfig(
    vocab_size=400,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    intermediate_size=64,
)


def model(seed: int) -> MistralForCausalLM:
    set_seed(seed)
    return MistralForCausalLM(CONFIG)


def quiet(path: Path) -> dict:
    return {
        "output_dir": str(path), "report_to": "none", "disable_tqdm": True, "max_length": None, "bf16": False,
        "gradient_checkpointing": False, "per_device_train_batch_size": 2, "save_strategy": "no",
    }  # fmt: skip


PAIRS = [{"prompt_ids": [5, 6, 7], "chosen_ids": [8, k, 1], "rejected_ids": [k, 9, 10, 1]} for k in range(20, 28)]


def dpo_trainer(
    tmp_path: Path, tokenizer: Path, policy: MistralForCausalLM, reference: MistralForCausalLM
) -> GuardedDPOTrainer:
    trainer = GuardedDPOTrainer(
        model=policy, ref_model=reference, args=DPOConfig(**quiet(tmp_path)), train_dataset=Dataset.from_list(PAIRS),
        processing_class=AutoTokenizer.from_pretrained(tokenizer),
    )  # fmt: skip
    trainer.run_dir = tmp_path
    return trainer


def test_the_right_reference_passes(tmp_path: Path, tiny_tokenizer: Path):
    trainer = dpo_trainer(tmp_path, tiny_tokenizer, model(0), model(0))
    trainer.train()
    assert trainer.seen_first_loss and trainer.state.global_step == trainer.state.max_steps > 0


def test_a_wrong_reference_is_refused_at_the_first_loss(tmp_path: Path, tiny_tokenizer: Path):
    with pytest.raises(TrainingStopped, match=r"step 1 .*margin.*not the same model"):
        dpo_trainer(tmp_path, tiny_tokenizer, model(0), model(1)).train()


def sharp(dtype: torch.dtype, seed: int = 0) -> MistralForCausalLM:
    """With logits of about 40, which bfloat16 rounds by an eighth."""
    made = model(seed)
    with torch.no_grad():
        made.lm_head.weight *= 40 / made(torch.arange(3, 99)[None]).logits.abs().max()
    return made.to(dtype)


def test_rounding_of_short_answers_in_16_bits_is_no_wrong_reference(tmp_path: Path, tiny_tokenizer: Path):
    policy, reference = sharp(torch.bfloat16), sharp(torch.bfloat16)
    with torch.no_grad():  # the last digit of some weights, as another kernel's order of sums would make it
        for weight in reference.parameters():
            weight *= 1 + 2**-8 * (torch.rand(weight.shape) < 0.1).to(weight.dtype)
    trainer = dpo_trainer(tmp_path, tiny_tokenizer, policy, reference)
    trainer.train()
    assert trainer.seen_first_loss
    with pytest.raises(TrainingStopped, match="nats a token apart"):
        dpo_trainer(tmp_path, tiny_tokenizer, sharp(torch.bfloat16), sharp(torch.bfloat16, seed=1)).train()


def test_an_infinite_loss_stops_with_the_step_and_the_batch(tiny: Path):
    loaded = load(tiny / "cpt.yaml", ["learning_rate=1e30", "warmup_steps=0"], outputs=tiny / "outputs")
    with pytest.raises(TrainingStopped, match=r"step [23] .*the loss is nan"):
        execute(loaded)
    stopped = json.loads((loaded.run_dir / "stopped_batch_rank0.json").read_text())
    assert stopped["step"] in (2, 3) and len(stopped["texts"]) == 2
    assert not (loaded.run_dir / "model").exists() and not (loaded.run_dir / "result.json").exists()


@pytest.mark.parametrize(("reward", "warned"), [(-0.4, False), (-12.0, True), (3.0, False)])
def test_collapse_of_the_chosen_answers_is_a_warning(reward: float, warned: bool):
    # 20 tokens an answer, beta 0.1: a reward of -12 is 120 nats, 6 a token; -0.4 is 0.2 a token
    counts = Counts(rows_used=10, chosen_tokens=200)
    assert bool(collapse({"eval_rewards/chosen": reward}, counts, beta=0.1)) is warned


def test_a_batch_without_trainable_tokens_is_an_error(tmp_path: Path, tiny_tokenizer: Path):
    rows = [{"input_ids": [5, 6, 7], "labels": [-100, -100, -100]}] * 4
    trainer = GuardedSFTTrainer(
        model=model(0), args=SFTConfig(**quiet(tmp_path)), train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(tiny_tokenizer),
    )  # fmt: skip
    trainer.run_dir = tmp_path
    with pytest.raises(TrainingStopped, match="no token of the batch carries loss"):
        trainer.train()
