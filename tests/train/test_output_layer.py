"""The output layer on a CPU: what TRL's own function gives, in fewer passes."""

import pytest
import torch
import trl.trainer.utils as trl_utils
from transformers import MistralConfig, MistralForCausalLM, set_seed
from trl.kernels import ChunkedLogProbFunction
from trl.trainer.utils import add_fused_lm_head

from zephyr.train import output_layer

OUTPUTS = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")


def inputs(n: int, vocabulary: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    set_seed(0)
    hidden, weight = torch.randn(n, 24, requires_grad=True), torch.randn(vocabulary, 24, requires_grad=True)
    return hidden, weight, torch.randint(0, vocabulary, (n,))


def with_gradients(function, hidden: torch.Tensor, weight: torch.Tensor) -> list[torch.Tensor]:
    hidden.grad = weight.grad = None
    found = function()
    (found[0] * torch.linspace(-1, 2, len(hidden))).sum().backward()
    return [*found, hidden.grad, weight.grad]


@pytest.mark.parametrize("kept", [True, False], ids=["probabilities kept", "computed again, in parts"])
def test_values_and_gradients_are_trls(monkeypatch: pytest.MonkeyPatch, kept: bool):
    monkeypatch.setattr(output_layer, "BLOCK", 70 * 50)  # several blocks, the last one shorter
    monkeypatch.setattr(output_layer, "KEPT", 2**26 if kept else 70 * 50)
    hidden, weight, targets = inputs(173, 50)
    expected = with_gradients(
        lambda: ChunkedLogProbFunction.apply(hidden, weight, None, targets, 1.0, 32, None, 1.0, OUTPUTS), hidden, weight
    )
    found = with_gradients(lambda: output_layer.label_logps(hidden, weight, targets, OUTPUTS), hidden, weight)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=5e-6)


def test_of_equal_logits_the_first_is_the_most_likely():
    hidden, weight = torch.ones(3, 24), torch.zeros(40, 24)
    weight[[7, 21]] = 1.0
    found = output_layer.label_logps(hidden, weight, torch.tensor([7, 21, 3]), OUTPUTS)
    assert found[4].tolist() == [True, False, False]


def test_what_is_not_asked_for_is_none():
    found = output_layer.label_logps(*inputs(5, 40), ("log_probs",))
    assert found[0].shape == (5,) and found[1:] == (None,) * 4


@pytest.fixture
def fused() -> MistralForCausalLM:
    set_seed(0)
    made = MistralForCausalLM(MistralConfig(vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=1,
                                            num_attention_heads=4, num_key_value_heads=2))  # fmt: skip
    add_fused_lm_head(made, outputs=OUTPUTS)
    return made


def test_trls_forward_takes_it_only_within(fused: MistralForCausalLM, monkeypatch: pytest.MonkeyPatch):
    ids = torch.randint(0, 60, (2, 9))
    labels = ids.masked_fill(torch.arange(9) < 5, -100)
    expected = fused(input_ids=ids, labels=labels, fused_lm_head=True)
    rows = []
    real = output_layer.label_logps
    monkeypatch.setattr(
        output_layer, "label_logps", lambda hidden, *rest: rows.append(len(hidden)) or real(hidden, *rest)
    )
    with output_layer.blockwise():
        found = fused(input_ids=ids, labels=labels, fused_lm_head=True)
    assert rows == [8] and trl_utils._ChunkedLogProbFunction is ChunkedLogProbFunction  # 2 x 4 labels, not 2 x 8
    for name in OUTPUTS:
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-4, atol=5e-6)


def test_no_label_at_all_and_a_bias_go_to_trl(fused: MistralForCausalLM):
    ids = torch.randint(0, 60, (2, 9))
    with output_layer.blockwise():
        nothing = fused(input_ids=ids, labels=torch.full_like(ids, -100), fused_lm_head=True)
        nothing.loss.backward()
        fused.lm_head.bias = torch.nn.Parameter(torch.randn(60))
        biased = fused(input_ids=ids, labels=ids, fused_lm_head=True)
    assert nothing.loss == 0 and not nothing.log_probs.any()
    torch.testing.assert_close(biased.loss, fused(input_ids=ids, labels=ids, fused_lm_head=True).loss)
