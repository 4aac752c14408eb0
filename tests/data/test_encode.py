import gzip
import json
from types import SimpleNamespace

import numpy as np
import pytest

from zephyr.data.prepare import load_template
from zephyr.data.shapes import Preference, with_system_turn
from zephyr.data.tokens.encode import encode_conversations, encode_pairs, encode_texts
from zephyr.data.tokens.template import Template
from zephyr.data.tokens.tokenize import load_tokenizer
from zephyr.errors import UserError

TALK = [
    {"role": "user", "content": "What is the capital of France?"},
    {"role": "assistant", "content": "Paris, naïve one 🙂"},
    {"role": "user", "content": "Write"},
    {"role": "assistant", "content": " a poem\nabout the sea "},
]
PAIR = Preference(TALK[:3], "def add(a, b):\n    return", "No.")
SYSTEM = Preference([{"role": "system", "content": "Be brief."}, *TALK[:1]], "Paris", "the sea\n\n")


@pytest.fixture(params=["byte_level", "sentencepiece"])
def folder(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def ready(folder, make_recipe):
    """Data section, tokenizer and template of a recipe on a tokenizer of each kind."""

    def make(stage, **data):
        recipe = make_recipe(stage, "unused.jsonl", tokenizer=folder, **data)
        tokenizer = load_tokenizer(recipe.model)
        return recipe.data, tokenizer, load_template(recipe, tokenizer)

    return make


def loss_text(encoded, tokenizer):
    return tokenizer.backend.decode(encoded.ids[encoded.labels != -100].tolist(), skip_special_tokens=False)


def squeezed(text):
    return text.replace(" ", "")  # where a SentencePiece space goes is the tokenizer's business


def test_documents_get_the_bos_and_eos_that_the_recipe_asks_for(ready):
    data, tokenizer, _ = ready("cpt", add_bos_token=True)
    encoded = encode_texts(["the sea"], data, tokenizer)[0]
    assert encoded.ids.tolist() == [1, *tokenizer.encode(["the sea"])[0], 2]
    assert encoded.labels.tolist() == encoded.ids.tolist()
    data, tokenizer, _ = ready("cpt", append_eos_token=False)
    assert encode_texts(["the sea"], data, tokenizer)[0].ids.tolist() == tokenizer.encode(["the sea"])[0]


@pytest.mark.parametrize(
    ("loss_on", "expected"),
    [
        ("completion", " a poem\nabout the sea </s>"),
        ("assistant", "Paris, naïve one 🙂</s> a poem\nabout the sea </s>"),
    ],
)
def test_loss_is_on_the_answers_and_their_eos_only(ready, loss_on, expected):
    data, tokenizer, template = ready("sft", loss_on=loss_on)
    encoded = encode_conversations([TALK], data, tokenizer, template)[0]
    assert squeezed(loss_text(encoded, tokenizer)) == squeezed(expected)
    carries = encoded.labels != -100
    assert (encoded.labels[carries] == encoded.ids[carries]).all()
    assert not carries[-1] and tokenizer.backend.decode([int(encoded.ids[-1])]) in ("\n", "")


def test_loss_on_all(ready):
    data, tokenizer, template = ready("sft", loss_on="all")
    encoded = encode_conversations([TALK], data, tokenizer, template)[0]
    assert encoded.labels.tolist() == encoded.ids.tolist()
    assert encoded.ids.tolist() == tokenizer.encode([template.render(with_system_turn(TALK))])[0]


def test_bos_and_appended_eos_around_a_conversation(ready):
    data, tokenizer, template = ready("sft", loss_on="assistant", add_bos_token=True, append_eos_token=True)
    encoded = encode_conversations([TALK], data, tokenizer, template)[0]
    assert encoded.ids[0] == 1 and encoded.ids[-1] == 2
    assert encoded.labels[0] == -100 and encoded.labels[-1] == 2


def test_the_same_ids_whichever_tokens_carry_loss(ready):
    found = []
    for loss_on in ("all", "assistant", "completion"):
        data, tokenizer, template = ready("sft", loss_on=loss_on)
        found.append(encode_conversations([TALK, TALK[:2]], data, tokenizer, template))
    for row in range(2):
        assert len({tuple(each[row].ids) for each in found}) == 1


def test_masks_equal_those_of_transformers(ready, folder):
    """transformers finds the assistant's tokens by marks in the template, we by rendering up to each turn."""
    transformers = pytest.importorskip("transformers")
    data, tokenizer, template = ready("sft", loss_on="assistant")
    marked = template.source.replace(
        "{{- '<|' ~ message['role'] ~ '|>\\n' ~ message['content'] ~ eos_token ~ '\\n' -}}",
        "{{- '<|' ~ message['role'] ~ '|>\\n' -}}{% if message['role'] == 'assistant' %}{% generation %}"
        "{{- message['content'] ~ eos_token -}}{% endgeneration %}{% else %}{{- message['content'] ~ eos_token -}}"
        "{% endif %}{{- '\\n' -}}",
    )
    assert marked != template.source
    theirs = transformers.AutoTokenizer.from_pretrained(folder).apply_chat_template(
        with_system_turn(TALK), chat_template=marked, return_dict=True, return_assistant_tokens_mask=True
    )
    ours = encode_conversations([TALK], data, tokenizer, template)[0]
    assert ours.ids.tolist() == theirs["input_ids"]
    assert (ours.labels != -100).astype(int).tolist() == theirs["assistant_masks"]


def trl_ids(folder, template, preferences):
    """What DPOTrainer itself makes of the same pairs."""
    transformers = pytest.importorskip("transformers")
    trl = pytest.importorskip("trl")
    import datasets

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = template.source
    rows = [
        {
            "prompt": with_system_turn(pair.prompt),
            "chosen": [{"role": "assistant", "content": pair.chosen}],
            "rejected": [{"role": "assistant", "content": pair.rejected}],
        }
        for pair in preferences
    ]
    trainer = SimpleNamespace(_tokenizer=tokenizer)
    arguments = SimpleNamespace(dataset_num_proc=None, max_length=None, truncation_mode="keep_start")
    datasets.disable_progress_bars()
    dataset = datasets.Dataset.from_list(rows)
    return trl.DPOTrainer._prepare_dataset(trainer, dataset, tokenizer, arguments, "train")


def assert_trls_ids(ready, folder, preferences):
    data, tokenizer, template = ready("dpo")
    theirs = trl_ids(folder, template, preferences)
    ours = [encoded.pair for encoded in encode_pairs(preferences, data, tokenizer, template)]
    for column in ("prompt", "chosen", "rejected"):
        assert [list(getattr(pair, column)) for pair in ours] == list(theirs[f"{column}_ids"])


def test_pairs_have_trls_ids(ready, folder):
    with_eos = Preference([{"role": "user", "content": "say </s> twice</s>"}], "a</s>b", "</s>")
    starts_with_a_break = Preference(TALK[:1], "\n\nParis", "Paris")
    assert_trls_ids(ready, folder, [PAIR, SYSTEM, with_eos, starts_with_a_break])


def test_real_pairs_have_trls_ids(ready, folder, shared):
    pairs = []
    with (shared / "ultrafeedback/test.jsonl").open() as lines:
        for row in map(json.loads, lines):
            pairs.append(Preference([{"role": "user", "content": row["prompt"]}], row["chosen"], row["rejected"]))
    assert_trls_ids(ready, folder, pairs[:80])


def test_a_prompt_that_merges_with_an_answer_is_counted(make_recipe, byte_level):
    recipe = make_recipe("dpo", "unused.jsonl")
    tokenizer = load_tokenizer(recipe.model)
    template = load_template(recipe, tokenizer)
    assert tokenizer.encode(["\n\n"])[0] == [tokenizer.backend.token_to_id("ĊĊ")], "the test needs such a token"
    merging = Preference(TALK[:1], "\n\nParis", "Paris")
    found = encode_pairs([PAIR, merging], recipe.data, tokenizer, template)
    assert [encoded.merged for encoded in found] == [False, True]


def test_eos_and_bos_of_pairs(ready):
    data, tokenizer, template = ready("dpo", add_bos_token=True, append_eos_token=True)
    pair = encode_pairs([PAIR], data, tokenizer, template)[0].pair
    assert pair.prompt[0] == 1 and pair.chosen[-1] == 2 and pair.rejected[-1] == 2
    assert list(pair.chosen).count(2) == 2


NO_EOS = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
EARLIER_DIFFERS = (
    "{% for m in messages %}<|{{ m.role }}|>{% if loop.last or m.role == 'assistant' %}{{ m.content }}"
    "{% else %}{{ m.content | upper }}{% endif %}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.mark.parametrize("loss_on", ["all", "assistant", "completion"])
def test_a_template_that_does_not_end_answers_with_eos_is_refused(ready, loss_on):
    data, tokenizer, _ = ready("sft", loss_on=loss_on)
    template = Template(NO_EOS, tokenizer.special_tokens, "the template `mine.jinja`")
    with pytest.raises(UserError, match=r"`mine\.jinja` does not end an answer with the EOS token '</s>'"):
        encode_conversations([TALK], data, tokenizer, template)
    data, tokenizer, _ = ready("sft", loss_on=loss_on, append_eos_token=True)
    encoded = encode_conversations([TALK], data, tokenizer, template)[0]
    assert encoded.labels[-1] == 2


def test_a_template_that_does_not_end_a_pairs_answers_with_eos_is_refused(ready):
    data, tokenizer, _ = ready("dpo")
    with pytest.raises(UserError, match="would never learn to stop"):
        encode_pairs([PAIR], data, tokenizer, Template(NO_EOS, tokenizer.special_tokens))


def test_a_template_that_renders_the_prompt_otherwise_is_refused(ready):
    data, tokenizer, _ = ready("dpo")
    template = Template(EARLIER_DIFFERS, tokenizer.special_tokens)
    with pytest.raises(UserError, match="renders the prompt alone unlike"):
        encode_pairs([PAIR], data, tokenizer, template)
    data, tokenizer, _ = ready("sft", loss_on="assistant")
    with pytest.raises(UserError, match="renders the prompt alone unlike"):
        encode_conversations([TALK], data, tokenizer, template)


def test_real_transcripts_carry_loss_on_their_answers(ready, shared):
    """HH-RLHF, several turns: the text with loss is the assistant's, whatever the tokenizer does at the seams."""
    from zephyr.data.shapes import answered, recognise

    data, tokenizer, template = ready("sft", loss_on="assistant")
    with gzip.open(shared / "dialogues/hh_rlhf_harmless_test.jsonl.gz") as lines:
        rows = [json.loads(line) for line, _ in zip(lines, range(40), strict=False)]
    pairs = [recognise("dpo", row).convert(row) for row in rows]
    talks = [answered(pair, pair.chosen) for pair in pairs]
    for talk, encoded in zip(talks, encode_conversations(talks, data, tokenizer, template), strict=True):
        said = "".join(turn["content"] + "</s>" for turn in talk if turn["role"] == "assistant")
        assert squeezed(loss_text(encoded, tokenizer)) == squeezed(said)
        assert encoded.ids.dtype == np.int32
