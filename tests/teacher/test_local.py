"""A model in this process: batches change nothing, draws follow the distribution, lengths are kept."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

from tests.teacher.asking import ask_all, call
from zephyr.recipe.teacher import LanguageModel
from zephyr.teacher.call import Answer, Failure
from zephyr.teacher.local import Draws, within_top_p

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Path) -> str:
    """A model of random weights, whose answers end by themselves now and then."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer)
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=64, max_position_embeddings=256, eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id, initializer_range=0.3,
    )  # fmt: skip
    model = MistralForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight[tokenizer.eos_token_id] *= 2  # ends sooner
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def model_here(path: str, **settings) -> LanguageModel:
    return LanguageModel(model=path, chat_template="zephyr", **settings)


CALLS = [call("what is " + "red ball " * (n % 5), temperature=1.0, max_tokens=40, sample=n) for n in range(24)]


def test_an_answer_does_not_depend_on_its_batch(tmp_path: Path, tiny_model: str, monkeypatch: pytest.MonkeyPatch):
    found = {}
    for size, calls in ((1, CALLS), (8, CALLS), (5, CALLS[::-1])):
        monkeypatch.setenv("ZEPHYR_CACHE", str(tmp_path / f"cache{size}"))
        answers = [each for _, each in ask_all(model_here(tiny_model, batch_size=size), calls, tmp_path / f"{size}")]
        found[size] = [getattr(each, "text", each) for each in (answers[::-1] if size == 5 else answers)]
    assert [str(each) for each in found[1]] == [str(each) for each in found[8]] == [str(each) for each in found[5]]
    ends = Counter(each.reason if isinstance(each, Failure) else "answered" for each in found[1])
    assert ends["answered"] >= 5  # and not all alike
    assert len({each for each in found[1] if isinstance(each, str)}) > 4


def test_answers_are_kept_under_the_weights_content(tmp_path: Path, tiny_model: str):
    first = [each for _, each in ask_all(model_here(tiny_model), CALLS[:4], tmp_path / "run")]
    again = [each for _, each in ask_all(model_here(tiny_model), CALLS[:4], tmp_path / "again", offline=True)]
    assert [getattr(each, "text", "cut") for each in first] == [getattr(each, "text", "cut") for each in again]
    other = Path(tiny_model).parent / "other"
    MistralForCausalLM(MistralConfig.from_pretrained(tiny_model)).save_pretrained(other)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(other)
    ((_, unknown),) = ask_all(model_here(str(other)), CALLS[:1], tmp_path / "other", offline=True)
    assert isinstance(unknown, Failure) and unknown.reason == "not_cached"


def test_greedy_is_the_likeliest_token_and_log_probabilities_say_so(tmp_path: Path, tiny_model: str):
    calls = [call(f"where {n}", temperature=0.0, max_tokens=60, n_logprobs=3) for n in range(12)]
    found = [each for _, each in ask_all(model_here(tiny_model), calls, tmp_path / "run")]
    answers = [each for each in found if isinstance(each, Answer)]
    for each in answers:
        assert each.logprobs is not None and len(each.logprobs) == each.completion_tokens
        assert all(max(position.values()) <= 0 for position in each.logprobs)


def test_what_does_not_fit_is_refused_and_what_is_too_long_is_cut(tmp_path: Path, tiny_model: str):
    calls = [call("what is red", temperature=1.0, max_tokens=300), call("what is red", temperature=1.0, max_tokens=1)]
    (_, too_long), (_, cut) = ask_all(model_here(tiny_model), calls, tmp_path / "run")
    assert isinstance(too_long, Failure) and too_long.reason == "refused" and "context too long" in too_long.detail
    assert isinstance(cut, Failure) and cut.reason == "cut"


def test_draws_follow_the_distribution():
    scores = torch.tensor([2.0, 1.0, 0.0, -1.0])
    n = 4000
    draws = Draws([call("x", temperature=0.7, top_p=0.95, sample=each) for each in range(n)])
    found = Counter(draws(torch.zeros(n, 1), scores.repeat(n, 1)).argmax(dim=-1).tolist())
    expected = within_top_p(scores[None] / 0.7, torch.tensor([[0.95]])).softmax(dim=-1)[0]
    assert expected[3] == 0 and found[3] == 0 and expected[2] > 0.02
    for token in range(3):  # within four standard deviations
        share = float(expected[token])
        assert abs(found[token] / n - share) < 4 * (share * (1 - share) / n) ** 0.5


@pytest.mark.parametrize(("top_p", "kept"), [(0.5, 1), (0.7, 2), (0.95, 3), (1.0, 4)])
def test_top_p_keeps_the_fewest_tokens_that_reach_it(top_p: float, kept: int):
    scores = torch.tensor([[0.1, 0.6, 0.25, 0.05], [0.25, 0.25, 0.25, 0.25]]).log()
    found = within_top_p(scores, torch.tensor([[top_p], [1.0]])).isfinite().sum(dim=-1)
    assert found.tolist() == [kept, 4]
