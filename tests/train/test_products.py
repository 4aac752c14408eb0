"""Linear layers by oneDNN: the same values and gradients as PyTorch's, on every processor that it runs on."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import MistralConfig, MistralForCausalLM, set_seed

from zephyr.train import products


@pytest.fixture(autouse=True)
def _onednn_everywhere(monkeypatch: pytest.MonkeyPatch):
    if products._onednn() is None or not torch.backends.mkldnn.is_available():
        pytest.skip("this PyTorch has no oneDNN")
    monkeypatch.setattr(products, "onednn_is_faster", lambda: True)
    monkeypatch.setattr(products, "LEAST", 0)


@pytest.mark.parametrize(("rows", "columns", "width"), [(70, 48, 96), (33, 200, 40), (5, 64, 64), (64, 64, 7)])
def test_products_of_whole_and_turned_matrices(rows: int, columns: int, width: int):
    set_seed(0)
    left, right = torch.randn(rows, width), torch.randn(columns, width)
    torch.testing.assert_close(products.product(left, right), left @ right.t(), rtol=1e-5, atol=2e-5)
    turned = torch.randn(width, rows).t()
    torch.testing.assert_close(products.product(turned, right), turned @ right.t(), rtol=1e-5, atol=2e-5)
    found = products.product_over_rows(left, torch.randn(rows, columns, generator=torch.Generator().manual_seed(1)))
    expected = left.t() @ torch.randn(rows, columns, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-5)
    assert found.is_contiguous()


def model(bias: bool) -> MistralForCausalLM:
    set_seed(0)
    shape = {"vocab_size": 90, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2}  # fmt: skip
    made = MistralForCausalLM(MistralConfig(**shape))
    if bias:
        for layer in made.model.layers:
            layer.mlp.up_proj.bias = torch.nn.Parameter(torch.randn(96))
    return made


def outcome(made: torch.nn.Module, ids: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    made.zero_grad()
    loss = made(input_ids=ids, labels=ids).loss
    loss.backward()
    return loss, {name: each.grad for name, each in made.named_parameters() if each.grad is not None}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("adapter", [False, True])
def test_a_model_has_the_same_loss_and_gradients(bias: bool, adapter: bool):
    plain = model(bias)
    if adapter:
        plain = get_peft_model(plain, LoraConfig(r=32, target_modules=["q_proj", "up_proj"], init_lora_weights=False))
    fast = copy.deepcopy(plain)
    products.speed_up_linear_layers(fast)
    ids = torch.randint(0, 90, (3, 40))
    (loss, gradients), (own_loss, own_gradients) = outcome(plain, ids), outcome(fast, ids)
    torch.testing.assert_close(own_loss, loss)
    assert own_gradients.keys() == gradients.keys() and len(gradients) == (8 if adapter else 21 + 2 * bias)
    for name, gradient in gradients.items():
        torch.testing.assert_close(own_gradients[name], gradient, rtol=1e-4, atol=1e-6)


def test_weights_are_saved_as_ever_and_few_rows_go_the_short_way():
    plain = model(False)
    fast = copy.deepcopy(plain)
    products.speed_up_linear_layers(fast)
    assert fast.state_dict().keys() == plain.state_dict().keys()
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(fast(input_ids=ids).logits, plain(input_ids=ids).logits)  # bit for bit: the same library


def test_bfloat16_and_autocast_are_left_to_pytorch():
    layer = torch.nn.Linear(64, 64)
    products.speed_up_linear_layers(layer)
    rows = torch.randn(40, 64)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(rows).dtype == torch.bfloat16
    assert layer.bfloat16()(rows.bfloat16()).dtype == torch.bfloat16


def test_small_products_are_left_to_pytorch(monkeypatch: pytest.MonkeyPatch):
    asked = []
    real = products._onednn()
    monkeypatch.setattr(products, "_onednn", lambda: lambda *words: asked.append(words[0].shape) or real(*words))
    monkeypatch.setattr(products, "LEAST", 64 * 64 * 100)
    layer = torch.nn.Linear(64, 64)
    products.speed_up_linear_layers(layer)
    for rows in (99, 100):
        layer(torch.randn(rows, 64, requires_grad=True)).sum().backward()
    assert asked == [(100, 64), (100, 64), (64, 100)]  # forward, gradient of the rows, of the weight
