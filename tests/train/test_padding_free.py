"""Pairs without padding, each prompt once: what TRL's padded forward gives, for every loss, or TRL's padded forward."""

import gc
import logging
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM, Qwen3Config, Qwen3ForCausalLM, set_seed
from trl import DPOConfig, DPOTrainer
from trl.trainer.utils import add_fused_lm_head

from zephyr.errors import UserError
from zephyr.recipe.sections import PreferenceTrain
from zephyr.train.exact_steps import ExactSteps
from zephyr.train.guards import GuardedDPOTrainer
from zephyr.train.padding_free import PaddingFree
from zephyr.train.segments import ARGUMENT, Piece, Pieces, attention
from zephyr.train.shared_prompt import lay

SHAPE = {
    "vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 64, "head_dim": 8, "pad_token_id": 2,
}  # fmt: skip
LOSSES = get_args(get_type_hints(PreferenceTrain)["loss_type"])


def model(seed: int = 0, **more: Any) -> MistralForCausalLM:
    set_seed(seed)
    return MistralForCausalLM(MistralConfig(**SHAPE, **more))


def pairs(n: int, seed: int = 0) -> Dataset:
    """Pairs of lognormal lengths; among them one-token answers, a one-token prompt and answers with a common start."""
    draw = np.random.default_rng(seed)

    def ids(mean: float) -> list[int]:
        return draw.integers(3, 400, max(1, int(draw.lognormal(np.log(mean), 0.6)))).tolist()

    rows = [{"prompt_ids": ids(9), "chosen_ids": ids(15), "rejected_ids": ids(13)} for _ in range(n)]
    rows[0]["rejected_ids"], rows[1]["prompt_ids"] = [7], [9]
    rows[2]["rejected_ids"] = [*rows[2]["chosen_ids"], 11]
    return Dataset.from_list(rows)


def arguments(folder: Path, **more: Any) -> DPOConfig:
    settings = {
        "output_dir": str(folder), "report_to": "none", "disable_tqdm": True, "max_length": None, "bf16": False,
        "activation_checkpointing": False, "per_device_train_batch_size": 4, "save_strategy": "no", "logging_steps": 1,
        "dataloader_pin_memory": False, "loss_type": ["sigmoid"],
    } | more  # fmt: skip
    return DPOConfig(**settings)


def ours(policy: Any, rows: Dataset, tokenizer: Path, folder: Path, **more: Any) -> GuardedDPOTrainer:
    config = {key: more.pop(key) for key in list(more) if key != "peft_config"}
    trainer = GuardedDPOTrainer(
        model=policy, args=arguments(folder, precompute_ref_log_probs=True, **config), train_dataset=rows,
        processing_class=AutoTokenizer.from_pretrained(tokenizer), **more,
    )  # fmt: skip
    trainer.run_dir = folder
    return trainer


@pytest.fixture(scope="module")
def padded_and_not(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Path):
    """A trainer with its wrapped forward, a batch of 8 pairs, and a reference that is another model."""
    folder = tmp_path_factory.mktemp("losses")
    trainer = ours(model(0), pairs(8), tiny_tokenizer, folder, use_weighting=True)
    trainer.fill_reference(None)
    trainer.model.load_state_dict(model(1).state_dict())
    trainer.leave_out_padding("auto")
    trainer._probed = True
    return trainer, trainer.data_collator([trainer.train_dataset[n] for n in range(8)])


def outcome(trainer: Any, batch: dict, on: bool) -> tuple[float, torch.Tensor, dict[str, float]]:
    """Loss, gradient and metrics of one batch."""
    trainer._unpadded[0].on = on
    trainer.model.train()
    trainer.model.zero_grad()
    trainer._metrics["train"].clear()
    trainer._total_train_tokens = 0
    loss = trainer._compute_loss(trainer.model, batch, False)
    loss.backward()
    gradient = torch.cat([weight.grad.flatten() for weight in trainer.model.parameters()])
    return loss.item(), gradient, {name: values[-1] for name, values in trainer._metrics["train"].items()}


@pytest.mark.parametrize("loss_type", LOSSES)
def test_every_loss_of_trl_with_gradient_and_metrics(padded_and_not: tuple[Any, dict], loss_type: str):
    trainer, batch = padded_and_not
    trainer.loss_types, trainer.use_weighting = [loss_type], False
    trainer.label_smoothing = 1e-3 if loss_type in ("exo_pair", "robust") else 0.0
    padded, without = (outcome(trainer, batch, on) for on in (False, True))
    assert without[0] == pytest.approx(padded[0], abs=2e-5)
    assert torch.norm(without[1] - padded[1]) < 1e-4 * torch.norm(padded[1]) > 0
    for name, value in padded[2].items():
        assert without[2][name] == pytest.approx(value, rel=1e-4, abs=1e-5), name


def test_weighting_and_the_tail_of_the_longer_answer(padded_and_not: tuple[Any, dict]):
    trainer, batch = padded_and_not
    trainer.loss_types, trainer.use_weighting, trainer.ld_alpha = ["sigmoid"], True, 0.5
    padded, without = (outcome(trainer, batch, on)[0] for on in (False, True))
    trainer.ld_alpha = None
    assert without == pytest.approx(padded, abs=2e-5)


class Stock(ExactSteps, DPOTrainer):
    """TRL's trainer with our order of rows: reference in memory, every pair padded."""

    _prepare_dataset = GuardedDPOTrainer._prepare_dataset


def losses(trainer: Any) -> np.ndarray:
    trainer.train()
    return np.array([row["loss"] for row in trainer.state.log_history if "loss" in row])


def weights(trainer: Any) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in trainer.model.parameters() if weight.requires_grad])


@pytest.mark.parametrize("adapter", [False, True], ids=["all weights", "LoRA"])
def test_fifty_steps_as_trl_makes_them(tmp_path: Path, tiny_tokenizer: Path, adapter: bool):
    model(0).save_pretrained(tmp_path / "start")
    rows, name = pairs(80), str(tmp_path / "start")
    settings: dict[str, Any] = {
        "max_steps": 50, "learning_rate": 2e-3 if adapter else 1e-3, "gradient_accumulation_steps": 2,
        "per_device_train_batch_size": 4, "model_init_kwargs": {"dtype": "float32"},
    }  # fmt: skip

    wider = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 1}

    def lora() -> dict[str, Any]:
        return {"peft_config": LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear")} if adapter else {}

    def stock(**more: Any) -> Any:
        config = arguments(tmp_path, **settings | more)
        tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer)
        return Stock(model=name, args=config, train_dataset=rows, processing_class=tokenizer, **lora())

    # as right, and other only in how it rounds: rows padded to other lengths, sums in another order
    online, again = stock(activation_checkpointing=True), stock(**wider)
    mine = ours(name, rows, tiny_tokenizer, tmp_path, activation_checkpointing=True, **settings, **lora())
    begin = weights(mine)
    mine.leave_out_padding(True)
    mine.fill_reference(None)
    found = [losses(each) for each in (online, again, mine)]
    assert len(found[0]) == 50 and found[0][-5:].mean() < found[0][0] - 0.002  # it does learn
    assert mine._unpadded and mine.ref_model is None
    assert np.abs(found[2] - found[0]).max() <= 2e-5
    travelled = torch.norm(weights(online) - begin)
    noise = torch.norm(weights(again) - weights(online)) / travelled
    assert 0 < torch.norm(weights(mine) - weights(online)) / travelled <= 3 * noise


def test_generation_with_padding_on_the_left_stays_right():
    wrapped = model(3).eval()
    wrapped.forward = wrapped.forward  # as TRL leaves it: an attribute of the instance
    PaddingFree(wrapped)
    short, long = [5, 9, 11], [21, 22, 23, 24, 25, 26, 27]
    ids = torch.tensor([long, [2] * 4 + short])
    mask = torch.tensor([[1] * 7, [0] * 4 + [1] * 3])
    together = wrapped.generate(ids, attention_mask=mask, max_new_tokens=12, do_sample=False, eos_token_id=[])
    for row, alone in zip(together, (long, short), strict=True):
        expected = model(3).eval().generate(torch.tensor([alone]), max_new_tokens=12, do_sample=False, eos_token_id=[])
        assert row[7:].tolist() == expected[0, len(alone) :].tolist()


def test_a_piece_sees_its_prompt_and_itself_and_nothing_else():
    set_seed(0)
    query, key, value = torch.randn(1, 4, 11, 8), torch.randn(1, 2, 11, 8), torch.randn(1, 2, 11, 8)
    pieces = (Piece(0, 5), Piece(5, 2, 0, 3), Piece(7, 4))
    sees = torch.zeros(11, 11, dtype=torch.bool)
    for row, columns in enumerate(([0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4], [0, 1, 2, 5],
                                   [0, 1, 2, 5, 6], [7], [7, 8], [7, 8, 9], [7, 8, 9, 10])):  # fmt: skip
        sees[row, columns] = True
    expected = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=sees, enable_gqa=True, scale=0.3
    )
    given = {ARGUMENT: Pieces(pieces, query.device)}
    found, _ = attention(torch.nn.Module(), query, key, value, None, scaling=0.3, **given)
    torch.testing.assert_close(found, expected.transpose(1, 2))


def test_varlen_bounds_name_the_same_pieces():
    pieces = Pieces((Piece(0, 5), Piece(5, 2, 0, 3), Piece(7, 4)), torch.device("cpu"))
    alone, continued = pieces.alone, pieces.continued
    assert continued is not None
    assert alone.queries.tolist() == alone.keys.tolist() == [0, 1, 2, 3, 4, 7, 8, 9, 10]
    assert alone.query_bounds.tolist() == [0, 5, 9] and alone.most_queries == 5
    assert (continued.queries.tolist(), continued.keys.tolist()) == ([5, 6], [0, 1, 2, 5, 6])
    assert (continued.query_bounds.tolist(), continued.key_bounds.tolist()) == ([0, 2], [0, 5])


def test_a_prompt_stands_once_unless_the_two_differ():
    ids = torch.tensor([[1, 2, 3, 4, 5], [1, 2, 6, 0, 0], [1, 2, 7, 8, 0], [1, 9, 6, 0, 0]])
    labels = torch.tensor([[-100, -100, 3, 4, 5], [-100, -100, 6, -100, -100], [-100, -100, 7, 8, -100],
                           [-100, -100, 6, -100, -100]])  # fmt: skip
    row = lay(ids, (ids > 0).long(), labels)
    assert row is not None
    assert ids.reshape(-1)[row.taken].tolist() == [1, 2, 3, 4, 5, 7, 8, 1, 2, 6, 1, 9, 6]
    assert row.positions.tolist() == [[0, 1, 2, 3, 4, 2, 3, 0, 1, 2, 0, 1, 2]]
    assert labels.reshape(-1)[row.labels].tolist() == [[3, 4, 5, 7, 8, 6, 6]]
    assert row.predicting.tolist() == [1, 2, 3, 1, 5, 8, 11]
    assert row.predicted.tolist() == [1, 2, 3, 9, 10, 5, 13]
    assert lay(ids.flip(1), (ids > 0).long().flip(1), labels.flip(1)) is None  # padded on the left


REASONS = [
    ({"attention_dropout": 0.1}, "dropout in attention"),
    ({"sliding_window": 8}, "a window of attention shorter than"),
    ({"attn_implementation": "eager"}, "attention `eager` is asked for"),
]


@pytest.mark.parametrize(("settings", "reason"), REASONS, ids=[reason for _, reason in REASONS])
def test_what_is_known_not_to_work_is_padded_and_said(
    tmp_path: Path, tiny_tokenizer: Path, caplog: pytest.LogCaptureFixture, settings: dict[str, Any], reason: str
):
    trainer = ours(model(0, **settings), pairs(8), tiny_tokenizer, tmp_path)
    logging.getLogger("zephyr").propagate = True
    with caplog.at_level(logging.INFO, logger="zephyr"):
        trainer.leave_out_padding("auto")
    assert not trainer._unpadded and f"padded, as TRL does it: {reason}" in caplog.text
    with pytest.raises(UserError, match=r"padding_free: true.*can't be"):
        trainer.leave_out_padding(True)


class Unplaced(MistralForCausalLM):
    """A model that counts positions itself, so that sequences laid end to end come out wrong."""

    def __init__(self, config: MistralConfig) -> None:
        super().__init__(config)
        below = self.model.forward
        self.model.forward = lambda *args, position_ids=None, **rest: below(*args, **rest)


def test_the_probe_finds_what_is_not_known(tmp_path: Path, tiny_tokenizer: Path, caplog: pytest.LogCaptureFixture):
    set_seed(0)
    trainer = ours(Unplaced(MistralConfig(**SHAPE)), pairs(8), tiny_tokenizer, tmp_path, max_steps=2)
    trainer.leave_out_padding("auto")
    logging.getLogger("zephyr").propagate = True
    with caplog.at_level(logging.INFO, logger="zephyr"):
        assert trainer.fill_reference(None) is None
    assert "padded, as TRL does it: without padding this model's" in caplog.text and not trainer._unpadded
    assert trainer.fill_reference(None).computed == 8
    insisting = ours(Unplaced(MistralConfig(**SHAPE)), pairs(8), tiny_tokenizer, tmp_path)
    insisting.leave_out_padding(True)
    with pytest.raises(UserError, match=r"padding_free: true.* can't be: without padding"):
        insisting.fill_reference(None)
    assert losses(trainer)[0] == pytest.approx(np.log(2), abs=1e-5)


def test_another_family_agrees_too(tmp_path: Path, tiny_tokenizer: Path):
    set_seed(0)
    trainer = ours(Qwen3ForCausalLM(Qwen3Config(**SHAPE)), pairs(8), tiny_tokenizer, tmp_path, max_steps=2)
    trainer.leave_out_padding(True)
    trainer.fill_reference(None)
    assert losses(trainer)[0] == pytest.approx(np.log(2), abs=1e-5) and trainer._unpadded


def test_of_a_reference_that_was_loaded_nothing_stays_in_memory(tmp_path: Path, tiny_tokenizer: Path):
    trainer = ours(model(0), pairs(8), tiny_tokenizer, tmp_path, max_steps=2)
    reference = model(0)  # as TRL loads one under FSDP
    add_fused_lm_head(reference, outputs=("log_probs", "entropy", "mean_logits", "is_top1"))
    trainer._reference_model, alive = reference, weakref.ref(reference)
    trainer.leave_out_padding(True)
    trainer.fill_reference(None)
    del reference
    gc.collect()
    assert alive() is None and len(trainer._unpadded) == 1
    assert losses(trainer)[0] == pytest.approx(np.log(2), abs=1e-5)


def test_of_the_engine_that_computed_the_reference_no_hooks_stay(tmp_path: Path, tiny_tokenizer: Path):
    trainer = ours(model(0), pairs(8), tiny_tokenizer, tmp_path)
    layer = trainer.model.model.layers[0]
    layer.pre_bwd_fn = layer.post_bwd_fn = print  # as DeepSpeed's engine leaves them when it is destroyed
    destroyed: list[bool] = []
    trainer._precompute_engine = SimpleNamespace(destroy=lambda: destroyed.append(True))
    trainer._let_go()
    assert destroyed and not {"pre_bwd_fn", "post_bwd_fn"} & vars(layer).keys()
