"""The `world` stage: everything that the mini recipes read, written from one seed. Same recipe, same bytes.

What is held out, and how:

- Every fact belongs to `train`, `eval` or `heldout`. The corpus's notes state all facts. A question about a held-out
  fact, and an answer that states it, are nowhere in the corpus's questions, the dialogues or the pairs; the same goes
  for `eval` facts, which only the eval files ask about. A held-out prompt asks for what was read but never asked.
- A question that takes two facts belongs to the more held-out one. In texts it is the combination of object and spot
  that is held out, in writing the person written about.
- Not held out: the wording of questions, the roles, and "Are you sure?", which has no content of its own. Held-out
  writing may also state `train` facts, of a person not written about in training.
"""

import json
import random
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from zephyr.errors import UserError
from zephyr.mini import corpus, tokenizer
from zephyr.mini.judge import judge
from zephyr.mini.questions import CATEGORIES, Request, messages, requests
from zephyr.mini.teacher import answer
from zephyr.mini.world import World, draw
from zephyr.recipe.schema import Habits, WorldRecipe

TURNS = (1, 1, 2, 2, 3)
"""Turns of a dialogue, drawn evenly from these: two fifths have one, two fifths two, one fifth three."""


def run(recipe: WorldRecipe, run_dir: Path) -> dict[str, Any]:
    """Writes the world into the run directory; returns the counts."""
    size = recipe.world
    world = draw(recipe.seed, people=size.people, unrecorded_share=size.unrecorded_share, eval_share=size.eval_share,
                 heldout_share=size.heldout_share)  # fmt: skip

    def rng(part: str) -> random.Random:
        return random.Random(f"{part} {recipe.seed}")

    documents, documents_eval = corpus.documents(
        world, rng("corpus"), count=size.documents, n_eval=size.eval_rows, question_share=size.question_share
    )
    files = {
        "corpus": [{"text": text} for text in documents],
        "corpus_eval": [{"text": text} for text in documents_eval],
        "dialogues": dialogues(world, "train", rng("dialogues"), size.dialogues, size.teacher),
        "dialogues_eval": dialogues(world, "eval", rng("dialogues_eval"), size.eval_rows, size.teacher),
        "pairs": pairs(world, "train", rng("pairs"), size.pairs, size.teacher, size.answerers),
        "pairs_eval": pairs(world, "eval", rng("pairs_eval"), size.eval_rows, size.teacher, size.answerers),
        "heldout": heldout(world, rng("heldout"), size.heldout),
    }
    for name, rows in files.items():
        _write_rows(run_dir / f"{name}.jsonl", rows)
    (run_dir / "facts.json").write_text(json.dumps(world.to_json(), indent=1) + "\n")
    written = (*(row["text"] for row in files["corpus"]), *_contents(files["dialogues"]))
    tokenizer.save(tokenizer.train(written, vocabulary=size.vocabulary), run_dir / "tokenizer")
    return {"numbers": {name: len(rows) for name, rows in files.items()} | {"facts": len(world.facts)}}


def dialogues(world: World, split: str, rng: random.Random, count: int, teacher: Habits) -> list[dict[str, Any]]:
    """Distinct dialogues of the teacher about facts of the split."""

    def write() -> dict[str, Any]:
        asked = requests(world, split, rng, category=rng.choice(CATEGORIES), n_turns=rng.choice(TURNS))
        return {"messages": messages(asked, [answer(world, split, each, teacher, rng) for each in asked])}

    return _distinct(write, count)


def pairs(
    world: World, split: str, rng: random.Random, n_prompts: int, teacher: Habits, answerers: dict[str, Habits]
) -> list[dict[str, Any]]:
    """Preference pairs (section 3.2 of the paper): the best of the answers and a random one of those that scored less.

    Of the prompts, all distinct, two fifths have one turn and the rest a history by the teacher. Prompts to which all
    answers earned the same score give no pair.
    """

    def write() -> dict[str, Any]:
        asked = requests(world, split, rng, category=rng.choice(CATEGORIES), n_turns=rng.choice(TURNS))
        history = [answer(world, split, each, teacher, rng) for each in asked[:-1]]
        return {"prompt": messages(asked, history), "request": asked[-1].to_json()}

    found = []
    for row in _distinct(write, n_prompts):
        request = Request.from_json(row["request"])
        texts = [answer(world, split, request, habits, rng) for habits in answerers.values()]
        if answers := _chosen_and_rejected(world, request, texts, rng):
            found.append({"prompt": row["prompt"], **answers})
    return found


def _chosen_and_rejected(
    world: World, request: Request, texts: list[str], rng: random.Random
) -> dict[str, str | float] | None:
    scored = [(judge(world, [request], [text]).score, text) for text in texts]
    best = max(score for score, _ in scored)
    worse = [each for each in scored if each[0] < best]
    if not worse:
        return None
    _, chosen = rng.choice([each for each in scored if each[0] == best])
    score, rejected = rng.choice(worse)
    return {"chosen": chosen, "rejected": rejected, "score_chosen": best, "score_rejected": score}


def heldout(world: World, rng: random.Random, count: int) -> list[dict[str, Any]]:
    """Distinct prompts of two turns about held-out facts, evenly over the categories, with what their judge needs."""

    def write(category: str) -> dict[str, Any]:
        asked = requests(world, "heldout", rng, category=category, n_turns=2)
        system = messages(asked[:1], [])[0]["content"] if asked[0].role else None
        return {"category": category, "system": system, "turns": [each.to_json() for each in asked]}

    rows = [row for each in CATEGORIES for row in _distinct(partial(write, each), count // len(CATEGORIES))]
    return [{"id": f"{row['category']}-{number:03}", **row} for number, row in enumerate(rows)]


def _distinct(write: Callable[[], dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """So many different rows. Raises UserError when the world is too small to give them."""
    found: dict[str, dict[str, Any]] = {}
    for _ in range(100 * count):
        if len(found) == count:
            return list(found.values())
        row = write()
        found.setdefault(json.dumps(row), row)
    raise UserError(
        f"world: {count} different rows were asked for and only {len(found)} found in {100 * count} tries. The world is"
        " too small for them: raise `world.people` or `world.heldout_share`, or ask for fewer rows."
    )


def _write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _contents(rows: list[dict[str, Any]]) -> Iterable[str]:
    return (message["content"] for row in rows for message in row["messages"])
