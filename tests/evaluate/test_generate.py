"""Answers of a model: the same in a batch as alone, the same for the same seed, and in the order asked."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mini.small import RECIPE
from zephyr.mini import tokenizer as world_tokenizer
from zephyr.mini.stage import prompts
from zephyr.mini.world import draw
from zephyr.recipe import Generation

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from zephyr.evaluate.generate import Answer, Answerer, answer, load  # noqa: E402

SETTINGS = Generation(max_new_tokens=12, batch_size=32, chat_template="zephyr")
Messages = list[dict[str, str]]


@pytest.fixture(scope="module")
def conversations() -> list[Messages]:
    """Of one to three turns and so of very different lengths, some with a system turn, each ending with a user turn."""
    world = draw(1, people=12, unrecorded_share=0.2, eval_share=0.1, heldout_share=0.2)
    rows = prompts(world, "train", random.Random(0), 40, RECIPE.world.teachers["teacher"])
    system = {"role": "system", "content": "Be brief."}
    return [[system, *row["prompt"]] if n % 4 == 0 else row["prompt"] for n, row in enumerate(rows)]


@pytest.fixture(scope="module")
def tokenizer_dir(tmp_path_factory: pytest.TempPathFactory, conversations: list[Messages]) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    texts = [message["content"] for messages in conversations for message in messages]
    world_tokenizer.save(world_tokenizer.train(texts, vocabulary=400), folder)
    return folder


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory, tokenizer_dir: Path) -> Path:
    """Weights so large that its answers differ from prompt to prompt."""
    return save_model(tmp_path_factory.mktemp("random"), tokenizer_dir, new_model(tokenizer_dir, spread=0.5))


@pytest.fixture(scope="module")
def silent_model(tmp_path_factory: pytest.TempPathFactory, tokenizer_dir: Path) -> Path:
    """It ends every answer at once: all tokens are embedded alike, no layer adds anything, and EOS is the output."""
    model = new_model(tokenizer_dir, spread=0.5)
    with torch.no_grad():
        for weights in model.parameters():
            weights.zero_()
        model.model.embed_tokens.weight.fill_(1)
        model.model.norm.weight.fill_(1)
        model.lm_head.weight[model.config.eos_token_id] = 1
    return save_model(tmp_path_factory.mktemp("silent"), tokenizer_dir, model)


def new_model(tokenizer_dir: Path, spread: float):
    tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_dir)
    torch.manual_seed(0)
    config = transformers.MistralConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=512, initializer_range=spread, sliding_window=None,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return transformers.MistralForCausalLM(config)


def save_model(folder: Path, tokenizer_dir: Path, model) -> Path:
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(tokenizer_dir).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def answerer(random_model: Path) -> Answerer:
    return load(random_model, SETTINGS)


def one_by_one(answerer: Answerer, conversations: list[Messages]) -> list[Answer]:
    return [answer(answerer, [each], temperature=0, seed=1)[0] for each in conversations]


def test_greedy_answers_in_a_batch_are_those_given_alone(answerer: Answerer, conversations: list[Messages]) -> None:
    alone = one_by_one(answerer, conversations)
    assert len({each.text for each in alone}) > 20  # or the order would not matter
    assert answer(answerer, conversations, temperature=0, seed=1) == alone
    small = replace(answerer, settings=replace(SETTINGS, batch_size=3))
    assert answer(small, conversations, temperature=0, seed=1) == alone


def test_padding_on_the_right_would_give_other_answers(answerer: Answerer, conversations: list[Messages]) -> None:
    """That the test above can fail: these prompts and this model tell the two apart."""
    alone = one_by_one(answerer, conversations)
    answerer.tokenizer.padding_side = "right"
    try:
        assert answer(answerer, conversations, temperature=0, seed=1) != alone
    finally:
        answerer.tokenizer.padding_side = "left"


def test_greedy_answers_are_the_most_likely_tokens(answerer: Answerer, conversations: list[Messages]) -> None:
    """Against a loop over the model itself, on a prompt written out by hand."""
    conversation = [{"role": "user", "content": "What does Ana like to eat?"}]
    prompt = "<|system|>\n</s>\n<|user|>\nWhat does Ana like to eat?</s>\n<|assistant|>\n"
    ids = answerer.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    n_prompt = len(ids)
    while len(ids) < n_prompt + SETTINGS.max_new_tokens and answerer.tokenizer.eos_token_id not in ids[n_prompt:]:
        with torch.no_grad():
            ids.append(int(answerer.model(torch.tensor([ids])).logits[0, -1].argmax()))
    expected = answerer.tokenizer.decode(ids[n_prompt:], skip_special_tokens=True).strip()
    assert expected
    assert answer(answerer, [conversation], temperature=0, seed=1)[0].text == expected


def test_equal_prompts_get_one_answer_at_temperature_0_and_their_own_above(
    answerer: Answerer, conversations: list[Messages]
) -> None:
    repeated = [conversations[0], conversations[1]] * 6
    greedy = answer(answerer, repeated, temperature=0, seed=1)
    assert greedy == one_by_one(answerer, repeated[:2]) * 6
    sampled = answer(answerer, repeated, temperature=5.0, seed=1)
    assert len({each.text for each in sampled[::2]}) > 1


def test_the_seed_decides_what_is_sampled(answerer: Answerer, conversations: list[Messages]) -> None:
    first = answer(answerer, conversations, temperature=0.7, seed=1)
    torch.manual_seed(99)  # whatever was drawn before does not matter
    assert answer(answerer, conversations, temperature=0.7, seed=1) == first
    assert answer(answerer, conversations, temperature=0.7, seed=2) != first


def test_answers_that_end_by_themselves_are_told_from_those_cut(
    silent_model: Path, answerer: Answerer, conversations: list[Messages]
) -> None:
    for temperature in (0, 0.01):
        ended = answer(load(silent_model, SETTINGS), conversations, temperature=temperature, seed=1)
        assert ended == [Answer(text="", finished=True)] * len(conversations)
    cut = one_by_one(answerer, conversations)
    assert not all(each.finished for each in cut)
    shorter = replace(answerer, settings=replace(SETTINGS, max_new_tokens=1))
    firsts = one_by_one(shorter, conversations)
    whole = [(long.text, first.text) for long, first in zip(cut, firsts, strict=True) if "\ufffd" not in first.text]
    assert len(whole) > len(cut) / 2  # the rest begins with a part of a character
    assert all(long.startswith(first) for long, first in whole)


def test_the_empty_system_turn_is_the_recipes(answerer: Answerer, conversations: list[Messages]) -> None:
    without = replace(answerer, settings=replace(SETTINGS, empty_system_turn=False))
    plain = [each for each in conversations if each[0]["role"] != "system"]
    assert one_by_one(answerer, plain) != one_by_one(without, plain)
    stated = [[{"role": "system", "content": ""}, *each] for each in plain]
    assert one_by_one(without, stated) == one_by_one(answerer, plain)
