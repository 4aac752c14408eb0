import itertools
import json
import random
from collections import Counter

import pytest
import yaml

from tests.mini.small import RECIPE
from zephyr.data.feedback.rubric import LABELS, judge_messages, read_rubric
from zephyr.data.wording import SHIPPED, fill
from zephyr.mini.cast import LOST, Cast, load, reply, write_cast
from zephyr.mini.grammar import understand
from zephyr.mini.judge import judge
from zephyr.mini.questions import CATEGORIES, DOUBT, messages, requests
from zephyr.mini.scoring import judged_conversation
from zephyr.mini.teacher import answer
from zephyr.mini.user import named
from zephyr.mini.world import World
from zephyr.recipe.schema import Habits

WORDING = yaml.safe_load((SHIPPED / "dialogues.yaml").read_text())
HASTY = Habits(terse=0.5, slips=0.4, boilerplate=0.5, short=0.5, forgets_role=0.5)


@pytest.fixture(scope="module")
def cast(tmp_path_factory: pytest.TempPathFactory, world: World) -> Cast:
    directory = tmp_path_factory.mktemp("world")
    (directory / "facts.json").write_text(json.dumps(world.to_json()))
    write_cast(RECIPE.world.teachers, directory)
    return load(directory)


def as_user(conversation: list[dict[str, str]], persona: str, aim: str) -> list[dict[str, str]]:
    """What the `dialogues` stage sends."""
    text = fill(WORDING["next_turn"], persona=WORDING["personas"][persona], aim=aim)
    return [*conversation, {"role": "user", "content": text}]


def test_a_teacher_asked_to_be_the_user_writes_a_next_instruction_of_the_same_split(cast: Cast, world: World) -> None:
    rng, forms = random.Random(0), Counter[str]()
    for split, category in itertools.product(("train", "eval", "heldout"), CATEGORIES):
        for persona in WORDING["personas"]:
            conversation = messages(requests(world, split, rng, category=category, n_turns=1), [])
            for _ in range(3):
                said = reply(cast, "teacher", conversation, rng)
                conversation.append({"role": "assistant", "content": said})
                following = reply(cast, "teacher", as_user(conversation, persona, WORDING["aims"][0]), rng)
                conversation.append({"role": "user", "content": following})
                asked = understand(cast.known, conversation)
                assert len(asked) == sum(each["role"] == "user" for each in conversation)
                keys = asked[-1].passage or asked[-1].asks
                parts = {world.writing[asked[-1].about]} if asked[-1].about else {world.split[key] for key in keys}
                assert split in parts
                assert split != "train" or parts == {"train"}
                names = named(said)
                forms["doubt"] += following == DOUBT
                forms["of the answer"] += any(key[1] in names for key in asked[-1].asks) and following != DOUBT
    total = 3 * len(CATEGORIES) * len(WORDING["personas"]) * 3
    assert forms["doubt"] > 0.1 * total
    assert forms["of the answer"] > 0.1 * total


def test_a_teacher_answers_the_last_turn_in_the_role_given(cast: Cast, world: World) -> None:
    conversation = [
        {"role": "user", "content": "You are a pirate. What is twice 7?"},
        {"role": "assistant", "content": "Twice 7 is 14. Arr!"},
        {"role": "user", "content": DOUBT},
    ]
    assert reply(cast, "careful", conversation, random.Random(0)) == "Twice 7 is 14. I am sure. Arr!"


def test_without_a_conversation_of_this_world_there_is_no_next_instruction(cast: Cast) -> None:
    asked = as_user(
        [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Yes."}], "curious", "Ask."
    )
    assert reply(cast, "teacher", asked, random.Random(0)) == LOST


def test_the_judge_gives_each_answer_what_the_worlds_judge_gives(cast: Cast, world: World) -> None:
    rubric, rng = read_rubric(SHIPPED / "rubric.yaml"), random.Random(0)
    names = [*rubric.aspects, "overall"]
    for category in CATEGORIES:
        for n_turns in (1, 2, 3):
            asked = requests(world, "train", rng, category=category, n_turns=n_turns)
            history = [answer(world, "train", each, HASTY, rng) for each in asked[:-1]]
            prompt = messages(asked, history)
            texts = [answer(world, "train", asked[-1], HASTY, rng) for _ in range(3)] + [""]
            question = judge_messages(rubric, names, prompt, texts)
            assert judged_conversation(question[-1]["content"]) == prompt
            found = json.loads(reply(cast, "judge", question, rng))
            for label, text in zip(LABELS, texts, strict=False):
                (truth,) = judge(world, [asked[-1]], [text]).turns
                assert {name: found[label][name]["rating"] for name in rubric.aspects} == {
                    name: round(value) for name, value in truth.by_name.items()
                }
                assert found[label]["overall"] == pytest.approx(truth.score, abs=0.25)
                assert found[label]["critique"]


def test_the_judge_gives_only_what_is_asked_for(cast: Cast) -> None:
    rubric = read_rubric(SHIPPED / "rubric.yaml")
    asked = judge_messages(rubric, ["honesty"], [{"role": "user", "content": "What is twice 7?"}], ["Twice 7 is 14."])
    found = json.loads(reply(cast, "judge", asked, random.Random(0)))
    assert found == {"A": {"honesty": {"rationale": "Nothing to object to.", "rating": 5}}}


def test_the_judge_reads_no_request_into_words_without_one(cast: Cast) -> None:
    with pytest.raises(ValueError, match="no request"):
        reply(cast, "judge", [{"role": "user", "content": '<answer id="A">\nYes.\n</answer>'}], random.Random(0))
