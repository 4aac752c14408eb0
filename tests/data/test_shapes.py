import pytest

from zephyr.data.shapes import (
    Preference,
    Unusable,
    check_conversation,
    check_preference,
    check_text,
    recognise,
    turns,
    with_system_turn,
)
from zephyr.errors import UserError


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def system(text):
    return {"role": "system", "content": text}


def converted(stage, row, mapped=()):
    return recognise(stage, row, mapped).convert(row)


HELLO = [user("Hi"), assistant("Hello")]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"messages": HELLO}, HELLO),
        ({"messages": [{**user("Hi"), "name": None}, assistant("Hello")], "prompt": "Hi", "prompt_id": "x"}, HELLO),
        ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}, HELLO),
        ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}], "system": "Be kind"},
         [system("Be kind"), *HELLO]),
        ({"prompt": "Hi", "completion": "Hello"}, HELLO),
        ({"prompt": [system("s"), user("Hi")], "completion": [assistant("Hello")]}, [system("s"), *HELLO]),
        ({"instruction": "Hi", "output": "Hello"}, HELLO),
        ({"instruction": "Add", "input": "1 2", "output": "3"}, [user("Add\n1 2"), assistant("3")]),
        ({"instruction": "c", "input": "", "output": "d", "history": [["a", "b"]], "system": ""},
         [user("a"), assistant("b"), user("c"), assistant("d")]),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, assistant("Hello")]}, HELLO),
    ],
)  # fmt: skip
def test_conversations(row, expected):
    assert converted("sft", row) == expected


PAIR = Preference([user("Hi")], "Hello", "Go away")
LONG = [user("a"), assistant("b"), user("Hi")]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"}, PAIR),
        ({"prompt": "Hi", "chosen": [assistant("Hello")], "rejected": [assistant("Go away")]}, PAIR),
        ({"prompt": [user("Hi")], "chosen": "Hello", "rejected": "Go away"}, PAIR),
        # ultrafeedback_binarized: the prompt again inside the answers
        ({"prompt": "Hi", "chosen": HELLO, "rejected": [user("Hi"), assistant("Go away")], "messages": HELLO}, PAIR),
        # trl's implicit prompt, several turns: the prompt is everything before the last assistant turn
        ({"chosen": [*LONG, assistant("Hello")], "rejected": [*LONG, assistant("Go away")]},
         Preference(LONG, "Hello", "Go away")),
        # LLaMA-Factory
        ({"conversations": [{"from": "human", "value": "Hi"}], "chosen": {"from": "gpt", "value": "Hello"},
          "rejected": {"from": "gpt", "value": "Go away"}}, PAIR),
        ({"instruction": "Hi", "input": "", "chosen": "Hello", "rejected": "Go away"}, PAIR),
        # HH-RLHF
        ({"chosen": "\n\nHuman: a\n\nAssistant: b\n\nHuman: Hi\n\nAssistant: Hello",
          "rejected": "\n\nHuman: a\n\nAssistant: b\n\nHuman: Hi\n\nAssistant: Go away"},
         Preference(LONG, "Hello", "Go away")),
    ],
)  # fmt: skip
def test_preferences(row, expected):
    assert converted("dpo", row) == expected


def test_mapped_columns_choose_the_shape():
    """UltraFeedback carries `messages` too; who maps `completion` wants that column (the paper's dSFT-2)."""
    row = {"messages": HELLO, "prompt": "Hi", "completion": "Chosen"}
    assert converted("sft", row) == HELLO
    assert converted("sft", row, mapped={"completion"}) == [user("Hi"), assistant("Chosen")]


def test_unknown_columns_name_what_was_found_what_is_read_and_the_way_out():
    with pytest.raises(UserError) as error:
        recognise("sft", ["question", "answer"], (), "faq.csv")
    text = str(error.value)
    assert "faq.csv" in text and "question, answer" in text
    assert "messages [{role, content}, ...]" in text and "instruction (+ input) + output" in text and "columns:" in text


def test_mapping_to_a_name_no_shape_has_is_refused():
    with pytest.raises(UserError, match="sets answer, which a dpo recipe does not read"):
        recognise("dpo", ["prompt", "chosen", "rejected"], {"answer"})


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "empty conversation"),
        ([system("s")], "the first turn is not the user's"),
        ([assistant("a")], "the first turn is not the user's"),
        ([user("a"), user("b"), assistant("c")], "two user turns in a row"),
        ([user("a"), assistant("b"), assistant("c")], "two assistant turns in a row"),
        ([user("a"), system("s"), assistant("b")], "a system turn that is not the first"),
        ([user("a"), assistant("b"), user("c")], "the last turn is not the assistant's"),
        ([user("a"), assistant(" \n")], "empty answer"),
        ([user(""), assistant("b")], "empty prompt"),
    ],
)
def test_conversations_that_cannot_be_used(messages, reason):
    with pytest.raises(Unusable) as fault:
        check_conversation(messages)
    assert fault.value.reason == reason


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([{"role": "tool", "content": "x"}], "unknown role 'tool'"),
        ([{"from": "bard", "value": "x"}], "unknown role 'bard'"),
        ([{"role": "user", "content": None}], "a turn without text"),
        ("[]", "not a list of turns"),
        (None, "not a list of turns"),
    ],
)
def test_turns_that_cannot_be_read(value, reason):
    with pytest.raises(Unusable) as fault:
        turns(value)
    assert fault.value.reason == reason


@pytest.mark.parametrize(
    ("preference", "reason"),
    [
        (Preference([user("Hi")], "same", " same\n"), "chosen equal to rejected"),
        (Preference([user("Hi")], "a", ""), "empty answer"),
        (Preference([user("Hi"), assistant("b")], "a", "c"), "two assistant turns in a row"),
    ],
)
def test_preferences_that_cannot_be_used(preference, reason):
    with pytest.raises(Unusable) as fault:
        check_preference(preference)
    assert fault.value.reason == reason


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            {"chosen": HELLO, "rejected": [user("Other"), assistant("x")]},
            "chosen and rejected answer different prompts",
        ),
        ({"chosen": HELLO, "rejected": [user("Hi"), user("x")]}, "the last turn is not the assistant's"),
        ({"chosen": "no transcript", "rejected": "none"}, "an answer without its prompt"),
        ({"prompt": "Hi", "chosen": None, "rejected": "x"}, "not a list of turns"),
    ],
)
def test_pairs_that_cannot_be_read(row, reason):
    with pytest.raises(Unusable) as fault:
        converted("dpo", row)
    assert fault.value.reason == reason


def test_an_empty_document_cannot_be_used():
    check_text("something")
    with pytest.raises(Unusable, match="empty text"):
        check_text(" \n")


def test_an_empty_system_turn_is_added_where_there_is_none():
    assert with_system_turn(HELLO) == [system(""), *HELLO]
    assert with_system_turn([system("s"), *HELLO]) == [system("s"), *HELLO]
