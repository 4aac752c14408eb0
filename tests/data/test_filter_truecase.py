"""Capitals where they belong, and nowhere else."""

import json

import pytest

from zephyr.data.filter.truecase import truecase, truecased


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("Hello. how are you?", "Hello. How are you?"),
        ("is it late? yes! very late.", "Is it late? Yes! Very late."),
        ("how do i start? what should i say", "How do I start? What should I say"),
        ("It rained (a lot). the roof held.", "It rained (a lot). The roof held."),
        ("He left [1]. nobody knew why.", "He left [1]. Nobody knew why."),
        ("Well, i think i'm right and i've said so.", "Well, I think I'm right and I've said so."),
        ("élan is a word. été is another.", "Élan is a word. Été is another."),
        ("Bake at 200 degrees. then let it cool.", "Bake at 200 degrees. Then let it cool."),
        ("i boil it for 8 minutes.", "I boil it for 8 minutes."),
        (
            "It rained. i ride the bus then.\ni hear that you walk",
            "It rained. I ride the bus then.\nI hear that you walk",
        ),
        (
            "It was late and the shop was shut. i fry rice for lunch.",
            "It was late and the shop was shut. I fry rice for lunch.",
        ),
    ],
)
def test_mends(written: str, wanted: str):
    assert truecased(written) == wanted


@pytest.mark.parametrize(
    "right",
    [
        "The festival (in short: fest.) is large. [See below.] and so on",
        "From the ith element on. i and j are whole numbers.",
        "List the first i elements. i will always be less than the length, and i should be whole.",
        "Use a tool, e.g. hammer or saw, i.e. something heavy.",
        "Dr. von Trapp met Mr. de Witt at 5 p.m. in Bonn.",
        "The room has 20 sq. ft. of space, approx. two by one.",
        "1. apples\n2. pears\na. ripe\niv. unripe",
        "Run it:\n```\nx = 1. y\nprint('a. b')\n```\nDone.",
        "Call `a. b` and go on.",
        "See https://example.org/a. html or mail me. x@y.org answers.",
        "I own one. iPhone is what it is called. macOS runs elsewhere. npm too.",
        "Well... maybe later. And so on ... and on.",
        '"Stop!" she said. "Why?" he asked.',
        "Try Kahoot! or Yahoo! as well.",
        "for i in range(3): i have none",
        "Let x be given. x is small. f(x) is not.",
        "    indented code. here it is",
        "Version 3.5. released in May, v2. out in June",
        "The U.S. government met J. r. Smith.",
        "Poi i bambini vanno a casa, i miei e i tuoi.",
        "i dag er det for sent.",
        "i ragazzi mangiano il pane con la nonna.",
        "Put this into Italian: the boys eat the bread.\ni ragazzi mangiano il pane in casa",
        "i poszedł do domu, bo było późno.",
        "It counts the rows. i starts at the first of them. i of them are left.",
        "Take the row a[i]. i grow with the rows that you read.",
        "The parts are:\ni apples and what they cost\nii pears and what they cost",
        "Let n be the length. i run through all of them.",
        "label: positive",
        "yes",
    ],
)
def test_leaves_alone(right: str):
    assert truecased(right) == right


def test_twice_is_once():
    text = "hey there. i am here! are you? e.g. this (or that). the end... or not. ok, i will. see. you"
    assert truecased(truecased(text)) == truecased(text) != text


def test_real_texts_are_stable(shared):
    with (shared / "ultrafeedback/test.jsonl").open() as lines:
        texts = [json.loads(line)[key] for line in lines for key in ("prompt", "chosen", "rejected")]
    once = [truecased(text) for text in texts]
    assert [truecased(text) for text in once] == once
    assert [text.casefold() for text in once] == [text.casefold() for text in texts]
    assert 0 < sum(a != b for a, b in zip(once, texts, strict=True)) < 0.2 * len(texts)


def test_only_the_named_roles():
    messages = [{"role": "user", "content": "hi. you"}, {"role": "assistant", "content": "hi. me"}]
    assert [turn["content"] for turn in truecase(messages, ["assistant"])] == ["hi. you", "hi. Me"]
