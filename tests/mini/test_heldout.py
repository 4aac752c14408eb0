"""The promise of what is held out, checked word for word, and what the training stages make of these files."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.mini.small import RECIPE
from zephyr.data.prepare import prepare
from zephyr.mini import stage
from zephyr.mini.judge import judge
from zephyr.mini.questions import CHAINS, Request
from zephyr.mini.relations import FROM_TEXT, OBJECTS, RELATIONS
from zephyr.mini.world import Key, World, read, sentences
from zephyr.recipe import load
from zephyr.recipe.schema import Habits

RECIPES = Path(__file__).parents[2] / "recipes" / "mini"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shipped recipes look for the world, which is here."""
    folder = tmp_path_factory.mktemp("outputs")
    run_dir = load(RECIPES / "world.yaml", outputs=folder).run_dir
    run_dir.mkdir(parents=True)
    stage.run(RECIPE, run_dir)
    return folder


@pytest.fixture(scope="module")
def made(outputs: Path) -> Path:
    return load(RECIPES / "world.yaml", outputs=outputs).run_dir


@pytest.fixture(scope="module")
def truth(made: Path) -> World:
    return World.from_json(json.loads((made / "facts.json").read_text()))


def rows_of(run_dir: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / f"{name}.jsonl").read_text().splitlines()]


def texts_of(run_dir: Path, name: str) -> list[str]:
    rows = rows_of(run_dir, name)
    if name.startswith("corpus"):
        return [row["text"] for row in rows if not row["text"].startswith("About ")]  # notes state everything
    if name.startswith("dialogues"):
        return [message["content"] for row in rows for message in row["messages"]]
    turns = [message["content"] for row in rows for message in row["prompt"]]
    return [*turns, *(row[each] for row in rows for each in ("chosen", "rejected"))]


def combination(world: World, key: Key) -> str:
    thing, spot = key
    return world.say((FROM_TEXT, thing), spot)


def withheld(world: World, *splits: str) -> list[str]:
    """All words that give away content of these splits: questions, statements, texts, and whom to write about."""
    facts = [key for key in world.facts if world.split[key] in splits]
    found = [question.format(subject=key[1]) for key in facts for question in RELATIONS[key[0]].questions]
    found += [world.say(key, world.facts[key]) for key in facts]
    found += [combination(world, key) for key in world.split if key[0] in OBJECTS and world.split[key] in splits]
    for person, split in world.writing.items():
        found += [f"sentences about {person}.", f"Tell me about {person} in"] if split in splits else []
    for (relation, second), question in CHAINS.items():
        for person in world.people:
            value = world.facts[relation, person]
            keys = [(relation, person), *([] if value is None else [(second, value)])]
            found += [question.format(subject=person)] if any(world.split[key] in splits for key in keys) else []
    return found


@pytest.mark.parametrize("name", ["corpus", "corpus_eval", "dialogues", "pairs"])
def test_what_is_held_out_is_neither_asked_nor_said_in_training(made: Path, truth: World, name: str) -> None:
    texts = texts_of(made, name)
    assert len(texts) > 10
    assert [(text, part) for part in withheld(truth, "heldout", "eval") for text in texts if part in text] == []


@pytest.mark.parametrize("name", ["dialogues_eval", "pairs_eval"])
def test_the_eval_files_ask_of_eval_facts_and_hold_nothing_held_out(made: Path, truth: World, name: str) -> None:
    texts = texts_of(made, name)
    assert [(text, part) for part in withheld(truth, "heldout") for text in texts if part in text] == []
    assert any(part in text for part in withheld(truth, "eval") for text in texts)


def test_every_heldout_turn_needs_something_held_out(made: Path, truth: World) -> None:
    content = withheld(truth, "heldout")
    turns = [turn for row in rows_of(made, "heldout") for turn in row["turns"] if turn["text"] != "Are you sure?"]
    assert len(turns) > 20
    assert [turn["text"] for turn in turns if not any(part in turn["text"] for part in content)] == []


def test_a_slip_about_a_text_names_no_held_out_combination(truth: World) -> None:
    answerers = {"careful": Habits(), "hasty": Habits(slips=1)}
    rows = stage.pairs(truth, "train", random.Random(0), 400, Habits(), answerers)
    held = [combination(truth, key) for key in truth.split if key[0] in OBJECTS and truth.split[key] != "train"]
    assert [row["rejected"] for row in rows if any(part in row["rejected"] for part in held)] == []


def test_every_statement_of_the_corpus_is_true_of_the_facts_that_the_judge_uses(made: Path, truth: World) -> None:
    claims = [claim for row in rows_of(made, "corpus") for each in sentences(row["text"]) if (claim := read(each))]
    claims = [claim for claim in claims if claim.key[0] != FROM_TEXT]
    assert len(claims) > 1000
    assert [claim for claim in claims if truth.value(claim.key) != claim.value] == []


def test_the_scores_of_a_pair_are_the_judges(made: Path, truth: World) -> None:
    """The request is found again from the user's words, for questions about one fact of the world."""
    asks = {
        question.format(subject=key[1]): key for key in truth.facts for question in RELATIONS[key[0]].questions
    }  # fmt: skip
    judged = 0
    for row in (*rows_of(made, "pairs"), *rows_of(made, "pairs_eval")):
        assert 10 >= row["score_chosen"] > row["score_rejected"] >= 1
        system, text = row["prompt"][0], row["prompt"][-1]["content"]
        if text in asks:
            role = system["content"].split()[-1].strip(".") if system["role"] == "system" else None
            request = Request(category="", text=text, asks=(asks[text],), role=role)
            scores = [judge(truth, [request], [row[each]]).score for each in ("chosen", "rejected")]
            assert scores == [row["score_chosen"], row["score_rejected"]]
            judged += 1
    assert judged > 40


def test_rows_have_the_shape_that_the_stages_read(made: Path) -> None:
    for split in ("", "_eval"):
        assert all(set(row) == {"text"} and row["text"].strip() for row in rows_of(made, f"corpus{split}"))
        for row in rows_of(made, f"dialogues{split}"):
            assert set(row) == {"messages"}
            assert are_turns(row["messages"], last="assistant")
        for row in rows_of(made, f"pairs{split}"):
            assert set(row) == {"prompt", "chosen", "rejected", "score_chosen", "score_rejected"}
            assert are_turns(row["prompt"], last="user")
    for row in rows_of(made, "heldout"):
        assert set(row) == {"id", "category", "system", "turns"}
        requests = [Request.from_json(each) for each in row["turns"]]
        assert [each.category for each in requests] == [row["category"]] * 2
        assert row["system"] == (f"You are a {requests[0].role}." if row["category"] == "roleplay" else None)


def are_turns(messages: list[dict[str, str]], last: str) -> bool:
    """Whether user and assistant take turns, after a system turn at most, and all say something."""
    roles = [each["role"] for each in messages if each["content"]]
    spoken = roles[1:] if roles[0] == "system" else roles
    expected = [("user", "assistant")[n % 2] for n in range(len(spoken))]
    return len(roles) == len(messages) and spoken == expected and spoken[-1] == last


@pytest.mark.parametrize(
    ("recipe", "source", "model"),
    [
        ("cpt", "corpus", "model.tokenizer_name_or_path"),
        ("sft", "dialogues", "model.model_name_or_path"),
        ("dpo", "pairs", "model.model_name_or_path"),
    ],
)
def test_the_shipped_recipes_use_every_row(
    outputs: Path, made: Path, tmp_path: Path, recipe: str, source: str, model: str
) -> None:
    """None is unusable or cut, and no prompt of train is in eval, which `prepare` would refuse."""
    loaded = load(RECIPES / f"{recipe}.yaml", [f"{model}={made / 'tokenizer'}"], outputs=outputs)
    prepared = prepare(loaded.recipe, cache=tmp_path)  # type: ignore[arg-type]
    assert prepared.unusable == []
    for split, name in (("train", source), ("eval", f"{source}_eval")):
        assert prepared.counts[split].rows_used == len(rows_of(made, name))
        assert prepared.counts[split].truncated_rows == 0


def test_the_tokenizer_loads_and_gives_every_text_back(made: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(made / "tokenizer")
    assert 300 < len(tokenizer) <= RECIPE.world.vocabulary
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == ("<s>", "</s>", "<pad>")
    for text in (*texts_of(made, "dialogues"), *texts_of(made, "corpus"), "Déjà vu  naïve\n\t🙂 ."):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert not set(ids) & set(tokenizer.all_special_ids)
    for marker in ("<|system|>", "<|user|>", "<|assistant|>", "</s>"):
        assert len(tokenizer(marker, add_special_tokens=False)["input_ids"]) == 1
    question = tokenizer("What does Ana like to eat?", add_special_tokens=False)["input_ids"]
    assert len(question) <= 12  # words of these texts are tokens, not bytes
