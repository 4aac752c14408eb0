"""Thanks, format, language, helpfulness, length: each drops what it names, and not what is like it."""

import pytest

from zephyr.data.filter.format import debris
from zephyr.data.filter.helpfulness import cut_off, repeated_share, unhelpful
from zephyr.data.filter.language import foreign
from zephyr.data.filter.length import out_of_bounds
from zephyr.data.filter.structure import broken, cut_unanswered
from zephyr.data.filter.thanks import only_thanks, without_thanks
from zephyr.data.turns import Messages
from zephyr.recipe.filter import Format, Helpfulness, Language, Length, Structure, Thanks


def talk(*said: str) -> Messages:
    """A dialogue of texts in turn, the user's first."""
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(said)]


@pytest.mark.parametrize(
    "text",
    ["Thanks!", "Ok, thank you so much.", "Great, that helps a lot. Thanks, bye!", "Vielen Dank", "Merci beaucoup !"],
)
def test_mere_thanks(text: str):
    assert only_thanks(text, max_words=40)


@pytest.mark.parametrize(
    "text",
    [
        "Thanks! And how far is it?", "Thanks, now write it in French.", "Write a thank you note to Ann.",
        "I have to take care of my mother.", "Thanks to him we won", "Translate: thank you", "It is warm here.",
        "Thanks, but that is wrong.",
    ],
)  # fmt: skip
def test_not_mere_thanks(text: str):
    assert not only_thanks(text, max_words=40)


def test_closing_thanks_are_cut_off_pair_by_pair():
    start = talk("Where is it?", "There.")
    assert without_thanks([*start, *talk("Thanks!", "Welcome.", "Bye!", "Bye.")], Thanks()) == start
    middle = [*talk("Thanks!", "Welcome."), *start]
    assert without_thanks(middle, Thanks()) == middle
    assert without_thanks(talk("Thanks!", "Welcome."), Thanks()) == []
    alone = [{"role": "system", "content": "Be kind."}]
    assert without_thanks(alone, Thanks()) == alone


def test_structure():
    asked = talk("Where?", "There.", "When?")
    assert cut_unanswered(asked, Structure(unanswered="cut")) == asked[:2]
    assert cut_unanswered(asked, Structure(unanswered="drop")) == asked
    assert cut_unanswered(asked[:1], Structure()) == asked[:1]
    assert broken(asked) and broken(talk("Where?", " ")) and not broken(asked[:2])


def test_markers_of_other_templates():
    on = Format()
    assert debris(talk("Hi", "Hello<|im_end|>"), on)
    assert debris(talk("Hi", "It is three. [/INST]"), on)
    assert debris(talk("Hi", "User: Hi\nAssistant: Hello\nUser: Bye"), on)
    assert not debris(talk("Hi", "In Llama's template `[INST]` opens a turn."), on)
    assert not debris(talk("Hi", "Here is it:\nUser: Hi\nAssistant: Hello"), on)
    assert not debris(talk("Hi", "User: the one who asks."), on)
    assert not debris(talk("Hi", "Hello<|im_end|>"), Format(template_markers=False))


def test_wrongly_decoded_text():
    assert debris(talk("Hi", "Itâ€™s late"), Format())
    assert debris(talk("Hi", "caf\ufffd"), Format())
    assert not debris(talk("Hi", "It’s late in the café, São Paulo: 30 °C, «Ângela»"), Format())


GERMAN = "Das Auto steht seit gestern vor dem Haus und niemand weiß, wem es gehört."
ENGLISH = "The car has been standing in front of the house since yesterday, nobody knows whose it is."


def test_language():
    only = Language(keep=["en"])
    found = foreign(talk(GERMAN, GERMAN), only)
    assert found and found.reason == "in de"
    assert not foreign(talk(ENGLISH, ENGLISH), only)
    assert not foreign(talk("Translate this into German, please: the car stands there.", GERMAN), only)
    assert not foreign(talk("Ja?", "Nein!"), only)
    assert not foreign(talk(ENGLISH, "```\n" + "für = wenn(dann)\n" * 20 + "```"), only)
    assert not foreign(talk(GERMAN, GERMAN), Language(keep=["en", "de"]))


def test_echo():
    asked = "What is the best way to get from here to the station on foot?"
    assert unhelpful(talk(asked, asked.upper()), Helpfulness())
    assert not unhelpful(talk(asked, asked + " Take the path along the river, it is about a mile long."), Helpfulness())
    assert not unhelpful(talk("Paris or Rome?", "Paris or Rome?"), Helpfulness())
    assert not unhelpful(talk(asked, asked), Helpfulness(echoes=False))


def test_circles():
    loop = "and then he went back to the old house again " * 30
    assert repeated_share(loop) > 0.9
    found = unhelpful(talk("Tell me", loop + "."), Helpfulness())
    assert found and "circles" in found.reason
    varied = " ".join(f"word{n} and word{n * 7 % 31}" for n in range(200))
    assert repeated_share(varied) < 0.1
    assert repeated_share("```\n" + loop + "\n```") == 0


@pytest.mark.parametrize(
    ("answer", "breaks"),
    [
        ("There are many good reasons to go there, and they are all listed in the", True),
        ("First we take the long and winding road, then,", True),
        ("Here:\n```python\nx = 1", True),
        ("Here:\n```python\nx = 1\n```", False),
        ("Here:\n```\nx = 1\nI hope this helps!", False),
        ("Here ```\nx = 1\n```", False),
        ("All the best from all of us here.\nYours sincerely,", False),
        ("1. Apples\n2. Pears", False),
        ("The answer is the letter a", False),
    ],
)
def test_broken_off(answer: str, breaks: bool):
    assert bool(cut_off(answer)) == breaks


def test_short_answers():
    assert unhelpful(talk("Why?", "No idea."), Helpfulness(min_answer_words=3))
    assert not unhelpful(talk("Why?", "No idea.", "Think!", "Since it rained."), Helpfulness(min_answer_words=3))


def test_length():
    spoken = talk("one two", "three", "four", "five six")
    assert out_of_bounds(spoken, Length(min_exchanges=3)).reason == "too few exchanges"  # type: ignore[union-attr]
    assert out_of_bounds(spoken, Length(max_exchanges=1)).reason == "too many exchanges"  # type: ignore[union-attr]
    assert out_of_bounds(spoken, Length(min_words=7)).reason == "too few words"  # type: ignore[union-attr]
    assert out_of_bounds(spoken, Length(max_words=5)).reason == "too many words"  # type: ignore[union-attr]
    assert out_of_bounds(spoken, Length(min_exchanges=2, max_exchanges=2, min_words=6, max_words=6)) is None
