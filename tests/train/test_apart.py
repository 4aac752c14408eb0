"""`packing: bfd_split`: packed documents come out as they do alone, in training as in evaluation."""

import json
from pathlib import Path

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM, set_seed
from trl.trainer.utils import add_fused_lm_head

from zephyr.errors import UserError
from zephyr.recipe import load
from zephyr.run import execute
from zephyr.train.padding_free import PaddingFree
from zephyr.train.shared_prompt import lay_documents


def test_a_document_does_not_see_the_one_before_it():
    set_seed(0)
    model = MistralForCausalLM(
        MistralConfig(vocab_size=90, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                      num_key_value_heads=2, intermediate_size=64)
    )  # fmt: skip
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "mean_logits", "is_top1"))
    documents = [torch.randint(3, 90, (length,)) for length in (5, 9, 1, 4)]
    alone = [model(input_ids=ids[None], labels=ids[None], fused_lm_head=True).log_probs[0] for ids in documents]
    PaddingFree(model, lay_documents)
    rows = [torch.cat(documents[:2]), torch.cat(documents[2:])]
    pad = torch.nn.utils.rnn.pad_sequence
    positions = [torch.cat([torch.arange(len(ids)) for ids in each]) for each in (documents[:2], documents[2:])]
    labels = [row.masked_fill(position == 0, -100) for row, position in zip(rows, positions, strict=True)]
    found = model(
        input_ids=pad(rows, batch_first=True), attention_mask=pad([torch.ones_like(row) for row in rows], True),
        position_ids=pad(positions, True), labels=pad(labels, True, -100), fused_lm_head=True,
    ).log_probs  # fmt: skip
    expected = [[*alone[0], 0.0, *alone[1]], [*alone[2], 0.0, *alone[3], *[0.0] * 9]]
    torch.testing.assert_close(found, torch.tensor(expected), atol=2e-6, rtol=0)


@pytest.fixture
def started(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZEPHYR_CACHE", str(tiny / "cache"))
    execute(load(tiny / "cpt.yaml", outputs=tiny / "outputs"))
    return tiny


def run(folder: Path, packing: str, *overrides: str) -> dict:
    words = [f"packing={packing}", f"output_dir={folder}/{packing}", *overrides]
    return execute(load(folder / "sft.yaml", words, outputs=folder / "outputs"))


def test_packed_apart_is_evaluated_and_trained_as_unpacked(started: Path):
    # one step of all rows, so that packing can't move any from one step to another
    settings = ("max_length=160", "num_train_epochs=1", "global_batch_size=64", "launch.micro_batch_size=64")
    fitted, alone, wrapped = (run(started, packing, *settings) for packing in ("bfd_split", "none", "wrapped"))
    before, other, joined = (each["numbers"]["eval_loss_before"] for each in (fitted, alone, wrapped))
    assert before == pytest.approx(other, abs=2e-6) and abs(joined - other) > 1e-4
    assert fitted["numbers"]["first_loss"] == pytest.approx(alone["numbers"]["first_loss"], abs=2e-6)
    assert fitted["data"]["train"]["sequences"] < alone["data"]["train"]["sequences"]


def test_it_learns_and_says_how_little_it_pads(started: Path):
    result = run(started, "bfd_split", "max_length=160", "num_train_epochs=9", "launch.micro_batch_size=2")
    numbers = result["numbers"]
    assert numbers["eval_loss"] < numbers["eval_loss_before"] - 0.3 and numbers["tokens/computed"] == 1.0
    assert json.loads((started / "bfd_split/result.json").read_text())["status"] == "finished"


def test_a_model_that_cannot_is_refused_with_the_ways_out(started: Path):
    with pytest.raises(UserError, match=r"(?s)bfd_split.*eager.*data.packing=wrapped"):
        run(started, "bfd_split", "attn_implementation=eager")
