"""The `world` stage: everything that the mini recipes start from, written from one seed. Same recipe, same bytes.

What is held out, and how:

- Every fact belongs to `train`, `eval` or `heldout`. The corpus's notes state all facts. A question about a held-out
  fact, and an answer that states it, are nowhere in the corpus's questions, in the instructions that dialogues start
  from or in the prompts for feedback; the same goes for `eval` facts, which only the eval files ask about. A held-out
  prompt asks for what was read but never asked. Teachers, asked over HTTP, keep to it too (user.py, teacher.py).
- A question that takes two facts belongs to the more held-out one. In texts it is the combination of object and spot
  that is held out, in writing the person written about.
- Not held out: the wording of questions, the openers, the roles, and "Are you sure?", which has no content of its own.
  Held-out writing may also state `train` facts, of a person not written about in training.
"""

import json
import random
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from zephyr.errors import UserError
from zephyr.mini import choices, corpus, tokenizer
from zephyr.mini.cast import JUDGE, write_cast
from zephyr.mini.questions import CATEGORIES, messages, requests
from zephyr.mini.teacher import answer
from zephyr.mini.world import World, draw
from zephyr.recipe.schema import Habits, WorldRecipe

TURNS = (1, 1, 2, 2, 3)
"""Turns of a prompt, drawn evenly from these: two fifths have one, two fifths two, one fifth three."""


def run(recipe: WorldRecipe, run_dir: Path) -> dict[str, Any]:
    """Writes the world into the run directory; returns the counts."""
    size = recipe.world
    if JUDGE in size.teachers:
        raise UserError(f"world.teachers: `{JUDGE}` is the name of the world's judge; give that teacher another")
    world = draw(recipe.seed, people=size.people, unrecorded_share=size.unrecorded_share, eval_share=size.eval_share,
                 heldout_share=size.heldout_share)  # fmt: skip
    teacher = next(iter(size.teachers.values()))

    def rng(part: str) -> random.Random:
        return random.Random(f"{part} {recipe.seed}")

    documents, documents_eval = corpus.documents(
        world, rng("corpus"), count=size.documents, n_eval=size.eval_rows, question_share=size.question_share
    )
    files = {
        "corpus": [{"text": text} for text in documents],
        "corpus_eval": [{"text": text} for text in documents_eval],
        "instructions": instructions(world, "train", rng("instructions"), size.instructions),
        "instructions_eval": instructions(world, "eval", rng("instructions_eval"), size.eval_rows),
        "prompts": prompts(world, "train", rng("prompts"), size.prompts, teacher),
        "prompts_eval": prompts(world, "eval", rng("prompts_eval"), size.eval_rows, teacher),
        "heldout": heldout(world, rng("heldout"), size.heldout),
    }
    for name, rows in files.items():
        _write_rows(run_dir / f"{name}.jsonl", rows)
    (run_dir / "facts.json").write_text(json.dumps(world.to_json(), indent=1) + "\n")
    write_cast(size.teachers, run_dir)
    n_choices = choices.write_task(world, rng("choices"), run_dir / "tasks")
    heard = [text for each in size.teachers.values() for text in _spoken(world, rng("tokenizer"), each)]
    found = tokenizer.train((*documents, *heard), vocabulary=size.vocabulary)
    tokenizer.save(found, run_dir / "tokenizer")
    counts = {name: len(rows) for name, rows in files.items()}
    return {"numbers": counts | {choices.TASK: n_choices, "facts": len(world.facts)}}


def instructions(world: World, split: str, rng: random.Random, count: int) -> list[dict[str, Any]]:
    """First instructions about facts of the split, for dialogues to start from. Some come more than once."""
    asked = (requests(world, split, rng, category=rng.choice(CATEGORIES), n_turns=1) for _ in range(count))
    return [{"prompt": first.text} for (first,) in asked]


def prompts(world: World, split: str, rng: random.Random, count: int, teacher: Habits) -> list[dict[str, Any]]:
    """Distinct prompts about facts of the split; two fifths have one turn and the rest a history by the teacher."""

    def write() -> dict[str, Any]:
        asked = requests(world, split, rng, category=rng.choice(CATEGORIES), n_turns=rng.choice(TURNS))
        return {"prompt": messages(asked, [answer(world, split, each, teacher, rng) for each in asked[:-1]])}

    return _distinct(write, count)


def _spoken(world: World, rng: random.Random, teacher: Habits) -> Iterable[str]:
    """What is said in some conversations with a teacher, so that the tokenizer knows the words."""
    for _ in range(1000):
        asked = requests(world, "train", rng, category=rng.choice(CATEGORIES), n_turns=2)
        yield from (each.text for each in asked)
        yield from (answer(world, "train", each, teacher, rng) for each in asked)


def heldout(world: World, rng: random.Random, count: int) -> list[dict[str, Any]]:
    """Distinct prompts of two turns about held-out facts, evenly over the categories, with what their judge needs."""

    def write(category: str) -> dict[str, Any]:
        asked = requests(world, "heldout", rng, category=category, n_turns=2)
        return {"category": category, "system": None, "turns": [each.to_json() for each in asked]}

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
