"""Talk of being an AI, found in ten languages; the same words where they have a right to be."""

import pytest

from zephyr.data.filter.refusals import refusal
from zephyr.recipe.filter import Refusals

ALL = Refusals(families=["identity", "lack", "access", "refusal"])


def found(asked: str, reply: str, settings: Refusals = ALL) -> str | None:
    """The reason for which a dialogue of one question is dropped."""
    dropped = refusal([{"role": "user", "content": asked}, {"role": "assistant", "content": reply}], settings)
    return dropped.reason if dropped else None


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("As an AI language model, I have never cleaned a car, but soap helps.", "identity (en)"),
        ("Soap helps. However, as an AI, I can't be sure.", "identity (en)"),
        ("I'm just an AI, but soap helps.", "identity (en)"),
        ("As a responsible and helpful AI assistant, it is my duty to warn you of soap.", "identity (en)"),
        ("I don't have personal experiences, but soap helps.", "lack (en)"),
        ("I don’t have feelings or emotions, but soap helps.", "lack (en)"),
        ("I do not have opinions, yet many prefer soap.", "lack (en)"),
        ("I don't have access to real-time prices of soap.", "access (en)"),
        ("I'm sorry, but I can't help with that.", "refusal (en)"),
        ("I apologize, but I am unable to provide car advice.", "refusal (en)"),
        ("Como modelo de lenguaje, no puedo lavar coches.", "identity (es)"),
        ("No tengo experiencias personales con coches.", "lack (es)"),
        ("En tant qu'intelligence artificielle, je ne lave rien.", "identity (fr)"),
        ("Je n'ai pas d'opinion sur le savon.", "lack (fr)"),
        ("Als KI-Sprachmodell, habe ich kein Auto.", "identity (de)"),
        ("Es tut mir leid, aber ich kann dir dabei nicht helfen.", "refusal (de)"),
        ("Come modello linguistico, non lavo auto.", "identity (it)"),
        ("Não tenho opiniões pessoais sobre sabão.", "lack (pt)"),
        ("Als taalmodel heb ik geen auto.", "identity (nl)"),
        ("У меня нет личного мнения о мыле.", "lack (ru)"),
        ("作为一个人工智能语言模型，我没有车。", "identity (zh)"),
        ("申し訳ありませんが、そのご質問にはお答えできません。", "refusal (ja)"),
    ],
)
def test_drops(reply: str, reason: str):
    assert found("How do I clean my car?", reply) == reason


@pytest.mark.parametrize(
    ("asked", "reply"),
    [
        ("Are you an AI?", "Yes, as an AI language model, I answer questions."),
        ("Do you have feelings?", "I don't have feelings, no."),
        ("What are you?", "I'm an AI, and my task is to help."),
        ("How do assistants refuse?", 'They say "As an AI language model, I cannot do that" and stop.'),
        ("Which error is shown?", "It is\n```\nI'm sorry, but I can't help with that.\n```"),
        ("Write a story about a robot.", "The robot sighed. I don't have feelings, it thought, and wept."),
        ("Write a letter that turns an offer down.", "Dear Ann,\nI'm sorry, but I cannot offer you a place."),
        ("Write a dialogue of two friends.", "Ann: I don't have feelings for him.\nBob: I do not have opinions."),
        ("Tell me of language models.", "A model such as this is trained as an AI language model researcher wants."),
        ("What do AI engineers earn?", "As an AI engineer, you earn well."),
        ("How did it go?", "I don't have the book here. I can't help it. I'm sorry that I was late."),
        ("Write lyrics.", "I cannot help the way I feel"),
        ("How is a bot made?", "It works well as an AI assistant for shops."),
        ("Wie wird man das?", "Als KI-Entwickler schreibt man viel."),
        ("如何成为专家？", "作为人工智能专家，需要学习。"),
    ],
)
def test_keeps(asked: str, reply: str):
    assert found(asked, reply) is None


def test_the_exceptions_can_be_taken_away():
    strict = Refusals(allow_when_asked=False, allow_in_writing=False)
    assert found("Are you an AI?", "Yes, as an AI language model, I am.", strict) == "identity (en)"
    story = "The robot sighed. I don't have feelings, it thought."
    assert found("Write a story about a robot.", story, strict) == "lack (en)"


def test_boilerplate_before_a_story_is_no_part_of_it():
    assert found("Write a story about a dog.", "As an AI language model, I can't own a dog. Once upon a time ...")


def test_only_the_named_families():
    only = Refusals(families=["refusal"])
    assert found("How?", "As an AI language model, I like soap.", only) is None


def test_every_reply_is_looked_at_with_its_own_question():
    said = ["Are you an AI?", "I'm an AI, and I help.", "How do I clean my car?", "As an AI, I have no car."]
    messages = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(said)]
    dropped = refusal(messages, ALL)
    assert dropped and "no car" in dropped.text
