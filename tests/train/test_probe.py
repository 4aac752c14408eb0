"""What the probe lets pass and what it stops, in 16 bits, on models whose rounding differs by a factor of fifty."""

from dataclasses import replace

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM, set_seed
from trl.trainer.utils import add_fused_lm_head

from zephyr.train import probe
from zephyr.train.padding_free import PaddingFree
from zephyr.train.probe import agreement_on_documents, agreement_on_pairs
from zephyr.train.segments import Pieces
from zephyr.train.shared_prompt import Row, lay, lay_documents

PROMPTS, CHOSEN, REJECTED = (20, 9), (30, 12), (17, 25)


def model(layers: int, sharp: float, dtype: torch.dtype) -> MistralForCausalLM:
    """With logits of up to about `sharp`, as a trained model has them."""
    set_seed(0)
    shape = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128}
    made = MistralForCausalLM(
        MistralConfig(vocab_size=400, num_hidden_layers=layers, initializer_range=0.08, **shape)
    ).eval()
    with torch.no_grad():
        made.lm_head.weight *= sharp / made(torch.arange(3, 99)[None]).logits.abs().max()
    add_fused_lm_head(made, outputs=("log_probs", "entropy", "mean_logits", "is_top1"))
    return made.to(dtype)


def batch() -> dict[str, torch.Tensor]:
    """Two pairs, padded as TRL's collator pads them."""
    draw = torch.Generator().manual_seed(0)
    prompts = [torch.randint(3, 400, (length,), generator=draw) for length in PROMPTS]
    answers = [torch.randint(3, 400, (length,), generator=draw) for length in (*CHOSEN, *REJECTED)]
    rows = [torch.cat([prompts[n % 2], answer]) for n, answer in enumerate(answers)]
    padded = torch.nn.utils.rnn.pad_sequence
    completion = [torch.arange(len(row)) >= PROMPTS[n % 2] for n, row in enumerate(rows)]
    return {
        "input_ids": padded(rows, batch_first=True),
        "attention_mask": padded([torch.ones_like(row) for row in rows], batch_first=True),
        "completion_mask": padded([each.long() for each in completion], batch_first=True),
    }


def leaking(input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor) -> Row:
    """The rejected answers see the chosen ones."""
    row = lay(input_ids, attention_mask, labels)
    assert row is not None
    pieces = [
        replace(each, prompt_length=each.start - each.prompt_start) if each.prompt_length else each
        for each in row.pieces.pieces
    ]
    return replace(row, pieces=Pieces(tuple(pieces), row.pieces.device))


@pytest.mark.parametrize(("layers", "sharp"), [(4, 4.0), (16, 20.0), (32, 40.0)])
def test_in_16_bits_what_is_right_passes_and_what_leaks_does_not(layers: int, sharp: float) -> None:
    wrapped = PaddingFree(model(layers, sharp, torch.bfloat16))
    right = agreement_on_pairs(wrapped.model, batch(), wrapped)
    assert 0 < right.ours < 3 * right.rounding and right.share(torch.bfloat16) < 1
    wrapped.lay = leaking
    assert agreement_on_pairs(wrapped.model, batch(), wrapped).share(torch.bfloat16) > 5


def test_in_float32_nothing_but_rounding_passes() -> None:
    wrapped = PaddingFree(model(4, 10.0, torch.float32))
    assert agreement_on_pairs(wrapped.model, batch(), wrapped).ours < 1e-5
    wrapped.lay = leaking
    assert agreement_on_pairs(wrapped.model, batch(), wrapped).share(torch.float32) > 1000


def test_of_documents_too() -> None:
    made = model(16, 20.0, torch.bfloat16)
    wrapped = PaddingFree(made, lay_documents)
    documents = batch()["input_ids"][:2, :9]
    found = agreement_on_documents(made, documents, wrapped)
    assert found.rounding > 0 and found.share(torch.bfloat16) < 1


@pytest.mark.parametrize("failure", [ImportError("undefined symbol"), RuntimeError("no kernel for backward")])
def test_a_kernel_that_fails_backward_or_is_not_whole_is_found_out(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fails(*_: object) -> None:
        raise failure

    monkeypatch.setattr(probe, "try_backward", fails)
    wrapped = PaddingFree(model(1, 4.0, torch.float32))
    assert agreement_on_pairs(wrapped.model, batch(), wrapped).share(torch.float32) == float("inf")
