"""docs/data.md: every entry in it reads rows of the schema that it names."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from zephyr.arguments import parser, split_overrides
from zephyr.data.shapes import Preference, Unusable
from zephyr.data.ultrafeedback import ScoredPrompt
from zephyr.data.usable import read_rows
from zephyr.errors import UserError
from zephyr.recipe.filter import FilterData
from zephyr.recipe.sections import ChatData, PreferenceData, Source

PAGE = Path(__file__).parents[2] / "docs/data.md"
ENTRIES = dict(re.findall(r"^### (.+?)\n.*?```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL | re.MULTILINE))


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def system(text):
    return {"role": "system", "content": text}


def message(name, parent, role, text, rank=None, **more):
    return {"message_id": name, "parent_id": parent, "message_tree_id": "t", "role": role, "text": text, "rank": rank,
            "lang": "en", "deleted": False, "review_result": True, **more}  # fmt: skip


MESSAGES = [
    message("b2", "q", "assistant", "worse", 1),
    message("q", None, "prompter", "Hi", review_result=None),
    message("b1", "q", "assistant", "better", 0),
    message("r", "b1", "prompter", "More?"),
    message("gone", "r", "assistant", "deleted", 0, deleted=True),
    message("refused", "r", "assistant", "refused", 1, review_result=False),
    message("last", "r", "assistant", "more", 2),
    message("unanswered", "last", "prompter", "And then?"),
    message("other", None, "prompter", "Nobody answers"),
]
TREE = {
    "message_tree_id": "t",
    "tree_state": "ready_for_export",
    "prompt": {"message_id": "q", "role": "prompter", "text": "Hi", "replies": [
        {"message_id": "b2", "role": "assistant", "text": "worse", "rank": 1, "replies": []},
        {"message_id": "b1", "role": "assistant", "text": "better", "rank": 0, "replies": [
            {"message_id": "r", "role": "prompter", "text": "More?", "replies": [
                {"message_id": "last", "role": "assistant", "text": "more", "replies": []}]}]}]},
}  # fmt: skip
TALK = [user("Hi"), assistant("better"), user("More?"), assistant("more")]
HELLO = [user("Hi"), assistant("Hello")]
PAIR = Preference([user("Hi")], "Hello", "Go away")
TRANSCRIPT = "\n\nHuman: Hi\n\nAssistant: "
RATED = {
    "instruction_following": {"Rating": "5", "Rationale": "r"},
    "honesty": {"Rating": "N/A", "Rationale": "r"},
    "truthfulness": {"Type": ["1"], "Rationale": "r", "Rating": "4", "Rationale For Rating": "r"},
    "helpfulness": {"Type": ["1"], "Rationale": "r", "Rating": "3", "Rationale For Rating": "r"},
}


def rated(text, overall, ratings=RATED):
    return {"model": "alpaca-7b", "principle": "honesty", "custom_system_prompt": "s", "response": text,
            "critique": "c", "overall_score": overall, "fine-grained_score": None, "annotations": ratings}  # fmt: skip


SAMPLES: dict[str, tuple[list[dict[str, Any]], Any]] = {
    "UltraChat-200k": ([{"prompt": "Hi", "prompt_id": "x", "messages": HELLO}], [HELLO]),
    "UltraChat": ([{"id": "0", "data": ["Hi", "better", "More?", "more"]}], [TALK]),
    "ShareGPT": (
        [{"id": "a", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}], [HELLO],
    ),
    "Capybara": (
        [{"source": "s", "conversation": [{"input": "Hi", "output": "better"}, {"input": "More?", "output": "more"}]}],
        [TALK],
    ),
    "OpenOrca": (
        [{"id": "niv.1", "system_prompt": "s", "question": "Hi", "response": "Hello"},
         {"id": "niv.2", "system_prompt": "", "question": "Hi", "response": "Hello"}],
        [[system("s"), *HELLO], HELLO],
    ),
    "Alpaca": (
        [{"instruction": "Add", "input": "1 2", "output": "3", "text": "Below is an instruction ..."}],
        [[user("Add\n1 2"), assistant("3")]],
    ),
    "OpenAssistant": (MESSAGES, [TALK]),
    "HH-RLHF, its chosen side": ([{"chosen": TRANSCRIPT + "Hello", "rejected": TRANSCRIPT + "Go away"}], [HELLO]),
    "UltraFeedback, binarized": (
        [{"prompt": "Hi", "prompt_id": "x", "chosen": HELLO, "rejected": [user("Hi"), assistant("Go away")],
          "messages": HELLO, "score_chosen": 8.0, "score_rejected": 5.0}],
        [PAIR],
    ),
    "Argilla's pairs of UltraFeedback (Notus)": (
        [{"source": "flan", "instruction": "Hi", "chosen_response": "Hello", "rejected_response": "Go away",
          "chosen_avg_rating": 5.0, "rejected_avg_rating": 3.5, "chosen_model": "a"}],
        [PAIR],
    ),
    "HH-RLHF": ([{"chosen": TRANSCRIPT + "Hello", "rejected": TRANSCRIPT + "Go away"}], [PAIR]),
    "Orca pairs": (
        [{"system": "s", "question": "Hi", "chosen": "Hello", "rejected": "Go away"}],
        [Preference([system("s"), user("Hi")], "Hello", "Go away")],
    ),
    "Capybara pairs": (
        [{"source": "s", "chosen": HELLO, "rejected": [user("Hi"), assistant("Go away")], "rating_chosen": 5}], [PAIR],
    ),
    "UltraFeedback": (
        [{"source": "flan", "instruction": "Hi", "models": ["a", "b"], "correct_answers": ["None"],
          "incorrect_answers": ["None"], "completions": [rated("Hello", 7.5), rated("Go away", 2.0, {})]}],
        [([user("Hi")], [("Hello", 4.0, 7.5), ("Go away", None, 2.0)])],
    ),
    "Nectar": (
        [{"prompt": "\n\nHuman: Hi\n\nAssistant: better\n\nHuman: More?\n\nAssistant: ", "turns": 2,
          "num_responses": 3, "source": ["sharegpt", "lmsys"], "good_natured": True,
          "answers": [{"answer": " more ", "model": "a", "rank": 1.0}, {"answer": "most", "model": "b", "rank": 3.0},
                      {"answer": "less", "model": "c", "rank": 2.0}]}],
        [(TALK[:-1], [("more", 3, 3), ("most", 1, 1), ("less", 2, 2)])],
    ),
    "OpenAssistant's ranked replies": (MESSAGES, [([user("Hi")], [("worse", 1, 1), ("better", 2, 2)])]),
}  # fmt: skip


def plain(found):
    """A scored prompt as plain values."""
    if not isinstance(found, ScoredPrompt):
        return found
    return found.prompt, [(each.text, each.mean, each.overall) for each in found.answers]


def read_as(stage, path, entry=None):
    settings = {key: value for key, value in (entry or {}).items() if key == "columns"}
    source = Source(path=path, **settings)
    return [plain(value) for _, value in read_rows("sft" if stage == "filter" else stage, source, 1)]


@pytest.mark.parametrize("name", ENTRIES)
def test_each_entry_reads_its_schema(name, write):
    recipe = yaml.safe_load(ENTRIES[name])
    rows, expected = SAMPLES[name]
    (entry,) = recipe["data"]["train"]
    assert read_as(recipe["stage"], write(rows), entry) == expected


@pytest.mark.parametrize("name", ENTRIES)
def test_each_entry_is_a_valid_part_of_a_recipe(name):
    recipe = yaml.safe_load(ENTRIES[name])
    length = {"sft": {"max_length": 9}, "dpo": {"max_length": 9, "max_prompt_length": 4}}.get(recipe["stage"], {})
    from zephyr.recipe.binarize import BinarizeData

    section = {"sft": ChatData, "filter": FilterData, "dpo": PreferenceData, "binarize": BinarizeData}[recipe["stage"]]
    assert section(**recipe["data"], **length).train[0].path == recipe["data"]["train"][0]["path"]


def test_the_commands_are_real():
    commands = [
        shlex.split(line, comments=True) for line in re.findall(r"^(zephyr .+)$", PAGE.read_text(), re.MULTILINE)
    ]
    assert len(commands) == 4
    for words in commands:
        parser().parse_args(split_overrides(words[1:])[0])


def test_every_sample_has_its_entry():
    assert set(SAMPLES) == set(ENTRIES)


def test_trees_give_what_their_messages_give(write):
    assert read_as("sft", write([TREE])) == [TALK]
    assert read_as("binarize", write([TREE])) == SAMPLES["OpenAssistant's ranked replies"][1]


def test_a_draw_of_messages_is_refused_and_one_of_trees_is_not(write):
    path = write(MESSAGES)
    with pytest.raises(UserError, match="would tear these apart"):
        list(read_rows("sft", Source(path=path, rows=2), 1))
    assert len(list(read_rows("sft", Source(path=write([TREE, TREE]), rows=1), 1))) == 1


def test_scored_answers_given_to_dpo_are_sent_to_binarize(write):
    with pytest.raises(UserError, match="a recipe of `stage: binarize` makes pairs of them"):
        list(read_rows("dpo", Source(path=write(SAMPLES["Nectar"][0])), 1))


@pytest.mark.parametrize(
    ("stage", "row", "reason"),
    [
        ("sft", {"id": "0", "data": "no list"}, "not a list of texts"),
        ("sft", {"id": "0", "data": ["Hi", "Hello", "Bye"]}, "the last turn is not the assistant's"),
        ("sft", {"conversation": [{"input": "Hi", "output": None}]}, "a turn without text"),
        ("sft", {"conversation": "no list"}, "not a list of turns"),
        ("binarize", {"prompt": "q", "answers": [{"answer": "a", "rank": 1}, {"answer": "b"}]},
         "an answer without a rank"),
        ("binarize", {"prompt": "q", "answers": 3}, "not a list of answers"),
        ("binarize", {"prompt": " ", "answers": [{"answer": "a", "rank": 1}]}, "empty prompt"),
        ("binarize", {"prompt": HELLO, "answers": [{"answer": "a", "rank": 1}]},
         "the prompt's last turn is not the user's"),
        ("binarize", {"instruction": None, "completions": []}, "a turn without text"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_read_say_why(write, stage, row, reason):
    ((_, fault),) = read_rows(stage, Source(path=write([row])), 1)
    assert isinstance(fault, Unusable) and fault.reason == reason


def test_real_transcripts(shared):
    """HH-RLHF: of 2,312 pairs 5 part before their last turn and a few have an empty answer."""
    found = [
        value for _, value in read_rows("dpo", Source(path=str(shared / "dialogues/hh_rlhf_harmless_test.jsonl.gz")), 1)
    ]
    unusable = [value.reason for value in found if isinstance(value, Unusable)]
    assert len(found) == 2312 and len(unusable) <= 0.01 * len(found)
    assert unusable.count("chosen and rejected answer different prompts") == 5
    assert json.dumps(found[0].prompt[0]).startswith('{"role": "user"')
