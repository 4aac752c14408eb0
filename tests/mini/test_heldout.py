"""The promise of what is held out, checked word for word on what the stages make, and what training makes of that.

The stages are the real ones, and the teachers and the judge are asked over HTTP; only the pool is scripted here.
"""

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.mini.small import RECIPE
from zephyr.data.binarize import stage as binarize
from zephyr.data.dialogues import stage as dialogues
from zephyr.data.feedback import stage as feedback
from zephyr.data.filter import stage as filter
from zephyr.data.prepare import prepare
from zephyr.mini import stage
from zephyr.mini.grammar import requests_by_text, understand
from zephyr.mini.judge import judge
from zephyr.mini.questions import Request
from zephyr.mini.relations import CHAINS, FROM_TEXT, OBJECTS, RELATIONS
from zephyr.mini.teacher import answer
from zephyr.mini.world import Key, World, read, sentences
from zephyr.recipe import load
from zephyr.recipe.schema import Habits

RECIPES = Path(__file__).parents[2] / "recipes" / "mini"
STAGES = (
    ("dialogues", dialogues, ["dialogues.count=100"]),
    ("dialogues-eval", dialogues, ["dialogues.count=20"]),
    ("filter", filter, ["workers=1"]),
    ("feedback", feedback, []),
    ("feedback-eval", feedback, []),
    ("binarize", binarize, []),
)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the shipped recipes make of a small world, with scripted models in the pool."""
    folder = tmp_path_factory.mktemp("outputs")
    run_dir = load(RECIPES / "world.yaml", outputs=folder).run_dir
    run_dir.mkdir(parents=True)
    stage.run(RECIPE, run_dir)
    cache = pytest.MonkeyPatch()
    cache.setenv("ZEPHYR_CACHE", str(tmp_path_factory.mktemp("cache")))
    for name, module, overrides in STAGES:
        loaded = load(RECIPES / f"{name}.yaml", [*overrides, *scripted_pool(name, run_dir)], outputs=folder)
        loaded.run_dir.mkdir(parents=True)
        module.run(loaded.recipe, loaded.run_dir)
    cache.undo()
    return folder


def scripted_pool(name: str, world_dir: Path) -> list[str]:
    if not name.startswith("feedback"):
        return []
    pool = {each: {"world": str(world_dir), "model": each} for each in ("teacher", "careful", "hasty")}
    members = {"early": "hasty", "raw": "hasty", "sft": "teacher", "careful": "careful"}
    parts = {member: pool[each] for member, each in members.items()}
    return [f"pool.{member}.{key}={value}" for member, model in parts.items() for key, value in model.items()]


@pytest.fixture(scope="module")
def made(outputs: Path) -> Path:
    return load(RECIPES / "world.yaml", outputs=outputs).run_dir


@pytest.fixture(scope="module")
def truth(made: Path) -> World:
    return World.from_json(json.loads((made / "facts.json").read_text()))


def rows_of(outputs: Path, run: str, name: str) -> list[dict[str, Any]]:
    path = load(RECIPES / f"{run}.yaml", outputs=outputs).run_dir / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def texts_of(rows: list[dict[str, Any]]) -> list[str]:
    """Everything that is said in rows of any of the stages, but for notes, which state everything."""
    found: list[str] = []
    for row in rows:
        found += [row["text"]] if not row.get("text", "About ").startswith("About ") else []
        for name in ("prompt", "messages", "chosen", "rejected"):
            said = row.get(name) or []
            found += [said] if isinstance(said, str) else [each["content"] for each in said]
    return found


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


@pytest.mark.parametrize(
    ("run", "name"),
    [
        ("world", "corpus"), ("world", "corpus_eval"), ("world", "instructions"), ("world", "prompts"),
        ("dialogues", "dialogues"), ("filter", "train"), ("binarize", "train"),
    ],
)  # fmt: skip
def test_what_is_held_out_is_neither_asked_nor_said_in_training(
    outputs: Path, truth: World, run: str, name: str
) -> None:
    texts = texts_of(rows_of(outputs, run, name))
    assert len(texts) > 10
    assert [(text, part) for part in withheld(truth, "heldout", "eval") for text in texts if part in text] == []


@pytest.mark.parametrize(
    ("run", "name"),
    [
        ("world", "instructions_eval"), ("world", "prompts_eval"), ("dialogues-eval", "dialogues"), ("filter", "eval"),
        ("binarize", "eval"),
    ],
)  # fmt: skip
def test_the_eval_files_ask_of_eval_facts_and_hold_nothing_held_out(
    outputs: Path, truth: World, run: str, name: str
) -> None:
    texts = texts_of(rows_of(outputs, run, name))
    assert [(text, part) for part in withheld(truth, "heldout") for text in texts if part in text] == []
    assert any(part in text for part in withheld(truth, "eval") for text in texts)


def test_every_heldout_turn_needs_something_held_out(outputs: Path, truth: World) -> None:
    content = withheld(truth, "heldout")
    turns = [
        turn for row in rows_of(outputs, "world", "heldout") for turn in row["turns"] if turn["text"] != "Are you sure?"
    ]
    assert len(turns) > 20
    assert [turn["text"] for turn in turns if not any(part in turn["text"] for part in content)] == []


def test_a_slip_about_a_text_names_no_held_out_combination(truth: World) -> None:
    rng = random.Random(0)
    held = [combination(truth, key) for key in truth.split if key[0] in OBJECTS and truth.split[key] != "train"]
    texts = [
        each for each in requests_by_text(truth).values() if each.passage and truth.split[each.passage[0]] == "train"
    ]
    said = [answer(truth, "train", each, Habits(slips=1), rng) for each in texts for _ in range(8)]
    assert len(set(said)) > 30
    assert [text for text in said if any(part in text for part in held)] == []


def test_every_statement_of_the_corpus_is_true_of_the_facts_that_the_judge_uses(outputs: Path, truth: World) -> None:
    corpus = rows_of(outputs, "world", "corpus")
    claims = [claim for row in corpus for each in sentences(row["text"]) if (claim := read(each))]
    claims = [claim for claim in claims if claim.key[0] != FROM_TEXT]
    assert len(claims) > 1000
    assert [claim for claim in claims if truth.value(claim.key) != claim.value] == []


def test_the_scores_of_a_pair_are_the_judges(outputs: Path, truth: World) -> None:
    known = requests_by_text(truth)
    rows = rows_of(outputs, "binarize", "train")
    assert len(rows) > 80
    for row in rows:
        *prompt, chosen = row["chosen"]
        request = understand(known, prompt)[-1]
        scores = {}
        for side, said in (("chosen", chosen), ("rejected", row["rejected"][-1])):
            (aspects,) = judge(truth, [request], [said["content"]]).turns
            scores[side] = sum(map(round, aspects.by_name.values())) / 4
        assert (scores["chosen"], scores["rejected"]) == (row["score_chosen"], row["score_rejected"])
        assert scores["chosen"] > scores["rejected"]


def test_the_filter_has_refusals_to_drop_and_capitals_to_mend(outputs: Path) -> None:
    raw, kept = rows_of(outputs, "dialogues", "dialogues"), rows_of(outputs, "filter", "train")
    before = {row["prompt"]: "\n".join(texts_of([{"messages": row["messages"]}])) for row in raw}
    after = {row["prompt"]: "\n".join(texts_of([{"messages": row["messages"]}])) for row in kept}
    assert 0.5 * len(before) < len(after) < len(before)
    gone = set(before) - set(after)
    assert all("AI language model" in before[prompt] for prompt in gone)
    assert not [text for text in after.values() if "AI language model" in text]
    mended = {prompt for prompt, text in after.items() if text != before[prompt]}
    assert mended
    assert all(after[prompt].casefold() == before[prompt].casefold() for prompt in mended)
    assert n_miscased(after.values()) < 0.5 * n_miscased(before[prompt] for prompt in after)


def n_miscased(texts: Iterable[str]) -> int:
    return sum(each[0].islower() for text in texts for each in sentences(text))


def test_rows_have_the_shape_that_the_stages_read(outputs: Path) -> None:
    for split in ("", "_eval"):
        corpus = rows_of(outputs, "world", f"corpus{split}")
        assert all(set(row) == {"text"} and row["text"].strip() for row in corpus)
        assert all(
            set(row) == {"prompt"} and row["prompt"] for row in rows_of(outputs, "world", f"instructions{split}")
        )
        for row in rows_of(outputs, "world", f"prompts{split}"):
            assert set(row) == {"prompt"}
            assert are_turns(row["prompt"], last="user")
    assert all(are_turns(row["messages"], last="assistant") for row in rows_of(outputs, "dialogues", "dialogues"))
    for row in rows_of(outputs, "world", "heldout"):
        assert set(row) == {"id", "category", "system", "turns"}
        requests = [Request.from_json(each) for each in row["turns"]]
        assert [each.category for each in requests] == [row["category"]] * 2


def are_turns(messages: list[dict[str, str]], last: str) -> bool:
    """Whether user and assistant take turns and all say something."""
    roles = [each["role"] for each in messages if each["content"]]
    expected = [("user", "assistant")[n % 2] for n in range(len(roles))]
    return len(roles) == len(messages) and roles == expected and roles[-1] == last


@pytest.mark.parametrize(
    ("recipe", "run", "names", "model"),
    [
        ("cpt", "world", ("corpus", "corpus_eval"), "model.tokenizer_name_or_path"),
        ("sft", "filter", ("train", "eval"), "model.model_name_or_path"),
        ("dpo", "binarize", ("train", "eval"), "model.model_name_or_path"),
    ],
)
def test_the_shipped_recipes_use_every_row(
    outputs: Path, made: Path, tmp_path: Path, recipe: str, run: str, names: tuple[str, str], model: str
) -> None:
    """None is unusable or cut, and no prompt of train is in eval, which `prepare` would refuse."""
    loaded = load(RECIPES / f"{recipe}.yaml", [f"{model}={made / 'tokenizer'}"], outputs=outputs)
    prepared = prepare(loaded.recipe, cache=tmp_path)  # type: ignore[arg-type]
    assert prepared.unusable == []
    for split, name in zip(("train", "eval"), names, strict=True):
        assert prepared.counts[split].rows_used == len(rows_of(outputs, run, name))
        assert prepared.counts[split].truncated_rows == 0


def test_the_tokenizer_loads_and_gives_every_text_back(outputs: Path, made: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(made / "tokenizer")
    assert 300 < len(tokenizer) <= RECIPE.world.vocabulary
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == ("<s>", "</s>", "<pad>")
    for text in (
        *texts_of(rows_of(outputs, "dialogues", "dialogues")),
        *texts_of(rows_of(outputs, "world", "corpus")),
        "Déjà vu  naïve\n\t🙂 .",
    ):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert not set(ids) & set(tokenizer.all_special_ids)
    for marker in ("<|system|>", "<|user|>", "<|assistant|>", "</s>"):
        assert len(tokenizer(marker, add_special_tokens=False)["input_ids"]) == 1
    question = tokenizer("What does Ana like to eat?", add_special_tokens=False)["input_ids"]
    assert len(question) <= 12  # words of these texts are tokens, not bytes
