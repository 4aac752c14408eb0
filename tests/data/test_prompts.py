"""Prompts for feedback and seeds of dialogues, in the spellings of published data sets."""

import hashlib

import pytest

from zephyr.data.asking import drawn
from zephyr.data.feedback.judging import known_of
from zephyr.data.feedback.principles import draw_principle, read_principles, under_principle
from zephyr.data.prompts import Seed
from zephyr.data.shapes import Unusable
from zephyr.data.usable import read_rows
from zephyr.data.wording import wording_file
from zephyr.errors import UserError
from zephyr.recipe.sections import Source

USER = {"role": "user", "content": "Why?"}
ASSISTANT = {"role": "assistant", "content": "So."}


def read(stage, write, *rows, **columns):
    return [found for _, found in read_rows(stage, Source(path=write(list(rows)), columns=columns), seed=1)]


@pytest.mark.parametrize(
    ("row", "messages"),
    [
        ({"prompt": "Why?"}, [USER]),
        ({"prompt": [USER]}, [USER]),
        ({"prompt": "\n\nHuman: Why?\n\nAssistant:"}, [USER]),
        ({"messages": [USER, ASSISTANT]}, [USER]),
        ({"messages": [USER, ASSISTANT, USER]}, [USER, ASSISTANT, USER]),
        ({"messages": [USER, ASSISTANT, USER, ASSISTANT]}, [USER, ASSISTANT, USER]),
        ({"prompt": "Why?", "messages": [USER, ASSISTANT, USER, ASSISTANT]}, [USER]),
        ({"instruction": "Why?", "completions": [], "models": []}, [USER]),
        ({"instruction": "Why", "input": "so?"}, [{"role": "user", "content": "Why\nso?"}]),
        ({"prompt": "Why?", "system": "Be brief."}, [{"role": "system", "content": "Be brief."}, USER]),
    ],
)
def test_prompts_are_read_as_data_sets_spell_them(write, row, messages):
    (found,) = read("feedback", write, row)
    assert found.messages == messages
    if messages == [USER]:
        assert found.prompt_id == hashlib.sha256(b"Why?").hexdigest()  # as in ultrafeedback_binarized


def test_columns_choose_the_last_turn_where_a_row_has_both(write):
    (found,) = read("feedback", write, {"prompt": "Why?", "chat": [USER, ASSISTANT, USER]}, messages="chat")
    assert len(found.messages) == 3


def test_what_a_row_knows_of_right_answers_goes_to_the_judge(write):
    row = {"prompt": "Why?", "source": "truthful_qa", "correct_answers": ["None", "So."], "incorrect_answers": ["No."]}
    knows, knows_nothing = read("feedback", write, row, {**row, "correct_answers": ["None"], "incorrect_answers": None})
    assert knows.source == "truthful_qa" and known_of(knows) == "right: So.\nwrong: No."
    assert known_of(knows_nothing) is None


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": " "}, "empty prompt"),
        ({"prompt": [ASSISTANT]}, "last turn is not the user's"),
        ({"prompt": [USER, USER]}, "do not alternate"),
        ({"messages": []}, "last turn is not the user's"),
        ({"prompt": 3}, "not a list of turns"),
    ],
)
def test_what_is_no_prompt_says_why(write, row, reason):
    (found,) = read("feedback", write, row)
    assert isinstance(found, Unusable) and reason in found.reason


def test_seeds_are_topics_or_first_instructions(write):
    assert read("dialogues", write, {"topic": " tea "}) == [Seed(topic="tea")]
    assert read("dialogues", write, {"prompt": "Why?"}) == [Seed(prompt="Why?")]
    assert read("dialogues", write, {"prompt": [USER, ASSISTANT, USER]}) == [Seed(prompt="Why?")]
    assert read("dialogues", write, {"instruction": "Why", "input": "so?"}) == [Seed(prompt="Why\nso?")]
    assert isinstance(read("dialogues", write, {"topic": " "})[0], Unusable)
    with pytest.raises(UserError, match="not a shape that a dialogues recipe reads"):
        read("dialogues", write, {"text": "Why?"})


def test_principles_are_drawn_by_weight_and_keep_the_prompts_own_system_message():
    principles = read_principles(wording_file("zephyr", "principles"))
    names = [draw_principle(principles, drawn(1, n))[0] for n in range(3000)]
    whole = sum(each.weight for each in principles.values())
    for name, each in principles.items():
        assert names.count(name) / 3000 == pytest.approx(each.weight / whole, abs=0.04)
    assert under_principle([USER], "Be true.") == [{"role": "system", "content": "Be true."}, USER]
    own = [{"role": "system", "content": "Be brief."}, USER]
    assert under_principle(own, "Be true.")[0]["content"] == "Be brief.\n\nBe true."


def test_a_wording_of_another_form_names_its_mistakes(tmp_path):
    file = tmp_path / "principles.yaml"
    file.write_text("kind: {texts: [], weihgt: 2}\n")
    with pytest.raises(UserError, match=r"(?s)kind\.texts.*at least 1.*kind\.weihgt.*Unexpected keyword"):
        read_principles(file)
    file.write_text("kind: {texts: [Be kind.], weight: 0}\n")
    with pytest.raises(UserError, match="no principle with a `weight` above 0"):
        read_principles(file)
