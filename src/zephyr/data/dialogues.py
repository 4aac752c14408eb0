"""The `dialogues` stage: self-instruct dialogues with a teacher (section 3.1 of arXiv 2310.16944).

The teacher answers a first instruction, then, put in the user's place, writes the next one from its answer, and so on.
Out: `dialogues.jsonl` (`prompt`, `prompt_id`, `messages`), `set_aside.jsonl` (what came to nothing, and why) and
`duplicates.jsonl` (first instructions dropped as near duplicates of others).
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zephyr.data.asking import drawn, refuse_set_aside
from zephyr.data.call_steps import dialogue_steps
from zephyr.data.dialogue_turns import Dialogue, First, write_dialogue
from zephyr.data.first_instructions import (
    DialogueWording,
    Request,
    Written,
    read_dialogue_wording,
    requests_for_instructions,
    requests_for_subtopics,
    write_instructions,
)
from zephyr.data.prompts import Seed
from zephyr.data.row_files import RowFiles, row_files
from zephyr.data.similar import near_duplicates
from zephyr.data.sources import identity
from zephyr.data.store import cache_root
from zephyr.data.turns import Unusable, prompt_id, user
from zephyr.data.usable import read_rows
from zephyr.data.wording import identity as wording_identity
from zephyr.data.wording import wording_file
from zephyr.errors import UserError
from zephyr.recipe.dialogues import DialoguesRecipe
from zephyr.teacher.account import account
from zephyr.teacher.ask import run_rows
from zephyr.teacher.predict import announce, predict

log = logging.getLogger("zephyr")


@dataclass
class Tally:
    """What became of seeds, instructions and dialogues."""

    rows_read: int
    unusable: Counter[str]
    written: Counter[str]
    """Where first instructions are from (`seed`, `topic`, `examples`) -> how many."""
    not_written: int
    """Instructions asked for that did not come."""
    dropped: int = 0
    """Near duplicates."""
    subtopics: int = 0
    """Into which the teacher divided the topics."""
    left: int = 0
    """First instructions beyond `dialogues.count`."""


def run(recipe: DialoguesRecipe, run_dir: Path) -> dict[str, Any]:
    """Writes the dialogues; returns the counts.

    Raises:
        UserError: the seeds can't give so many dialogues, the budget is used up, a model answers nothing any more, or
            more dialogues than allowed came to nothing.
    """
    wording = read_dialogue_wording(recipe.dialogues.prompts)
    check_personas(recipe, wording)
    seeds, tally = _seeds(recipe)
    reasons: Counter[str] = Counter()
    topics = list(dict.fromkeys(each.topic for each in seeds if each.topic))
    prompts = [each.prompt for each in seeds if each.prompt]
    _refuse_too_few(recipe, len(topics), len(prompts))
    steps = dialogue_steps(recipe, n_topics=len(topics), n_dialogues=recipe.dialogues.count)
    predicted = predict(steps.values())
    warnings = announce(predicted, recipe.budget)
    with row_files(run_dir, "dialogues", "set_aside", "duplicates") as files:
        instructions = _instructions(recipe, run_dir, topics, prompts, files, tally, reasons)
        chosen = _chosen(recipe, instructions, files, tally)
        for dialogue in _dialogues(recipe, run_dir, wording, chosen):
            _write(dialogue, files, reasons)
        n_tried = len(chosen)
        listed = run_dir / ".set_aside.jsonl.draft"
        refuse_set_aside(
            reasons, max(n_tried, 1), recipe.dialogues.max_set_aside_share, what="dialogues",
            key="dialogues.max_set_aside_share", listed=listed,
        )  # fmt: skip
    result = _result(recipe, files.counts, n_tried, tally, reasons)
    return result | {"warnings": [*warnings, *result["warnings"]], "asked": account(run_dir, predicted)}


def check_personas(recipe: DialoguesRecipe, wording: DialogueWording) -> None:
    """UserError if the recipe names a persona that its wording does not have, or gives none a weight."""
    weights = recipe.dialogues.personas
    unknown = [name for name in weights if name not in wording.personas]
    if unknown:
        raise UserError(
            f"dialogues.personas: there is no {', '.join(unknown)} in {recipe.dialogues.prompts}; "
            f"there are {', '.join(wording.personas)}"
        )
    if weights and not any(weight > 0 for weight in weights.values()):
        raise UserError("dialogues.personas: none of them has a weight above 0")


def _seeds(recipe: DialoguesRecipe) -> tuple[list[Seed], Tally]:
    seeds: list[Seed] = []
    unusable: Counter[str] = Counter()
    for source in recipe.dialogues.seeds:
        for _, found in read_rows("dialogues", source, recipe.seed):
            if isinstance(found, Unusable):
                unusable[found.reason] += 1
            else:
                seeds.append(found)
    prompts = sum(bool(each.prompt) for each in seeds)
    return seeds, Tally(
        rows_read=len(seeds) + unusable.total(),
        unusable=unusable,
        written=Counter(seed=prompts) if prompts else Counter(),
        not_written=0,
    )


# First instructions


def _instructions(
    recipe: DialoguesRecipe,
    run_dir: Path,
    topics: list[str],
    prompts: Sequence[str],
    files: RowFiles,
    tally: Tally,
    reasons: Counter[str],
) -> list[First]:
    """Seed prompts, and what the teacher writes about topics and after examples."""

    def lists(requests: list[Request], label: str) -> Iterator[Written]:
        """What the teacher writes; what comes to nothing is listed."""
        found = run_rows(
            requests, lambda teacher, request: write_instructions(teacher, recipe, request), label=label,
            models={"teacher": recipe.teacher}, budget=recipe.budget, folder=run_dir, n_rows=len(requests),
        )  # fmt: skip
        for _, written in found:
            if written.set_aside is not None:
                reasons.update(["not_cached"] if written.set_aside.reason == "not_cached" else [])
                files.write("set_aside", {"origin": written.request.origin, **asdict(written.set_aside)})
            yield written

    if recipe.dialogues.subtopics_per_topic and topics:
        divided = lists(requests_for_subtopics(recipe, topics), "subtopics")
        topics = list(dict.fromkeys(text for written in divided for text in written.instructions))
        tally.subtopics = len(topics)
    found = [First(prompt=text, origin="seed") for text in prompts]
    requests = requests_for_instructions(recipe, topics, prompts)
    for written in lists(requests, "first instructions") if requests else ():
        tally.written[written.request.origin.split(":")[0]] += len(written.instructions)
        tally.not_written += written.request.count - len(written.instructions)
        found += [First(prompt=text, origin=written.request.origin) for text in written.instructions]
    return found


def _refuse_too_few(recipe: DialoguesRecipe, n_topics: int, n_prompts: int) -> None:
    told = recipe.dialogues
    written = n_topics * (told.subtopics_per_topic or 1) * told.instructions_per_topic + told.instructions_like_seeds
    if n_prompts + written < told.count:
        raise UserError(
            f"dialogues.count: {told.count:,} dialogues are wanted, and the seeds give {n_prompts + written:,} first "
            f"instructions at most ({n_prompts:,} seed prompts, {written:,} written by the teacher).\n"
            "  Ways out: more seeds, a higher `instructions_per_topic` or `instructions_like_seeds`, a lower `count`"
        )


def _chosen(recipe: DialoguesRecipe, instructions: list[First], files: RowFiles, tally: Tally) -> list[First]:
    """Shuffled, near duplicates left out, the first `count` of them."""
    drawn(recipe.seed, "order").shuffle(instructions)
    duplicates = near_duplicates([each.prompt for each in instructions], recipe.dialogues.max_similarity)
    for n, like in duplicates.items():
        row = {"prompt": instructions[n].prompt, "origin": instructions[n].origin, "like": instructions[like].prompt}
        files.write("duplicates", row)
    kept = [each for n, each in enumerate(instructions) if n not in duplicates]
    tally.dropped, tally.left = len(duplicates), max(0, len(kept) - recipe.dialogues.count)
    return kept[: recipe.dialogues.count]


# Dialogues


def _dialogues(recipe: DialoguesRecipe, run_dir: Path, wording: DialogueWording, chosen: list[First]) -> Any:
    found = run_rows(
        chosen, lambda teacher, first: write_dialogue(teacher, recipe, wording, first),
        models={"teacher": recipe.teacher}, budget=recipe.budget, folder=run_dir, n_rows=len(chosen), label="dialogues",
    )  # fmt: skip
    return (dialogue for _, dialogue in found)


# What came of it


def _write(dialogue: Dialogue, files: RowFiles, reasons: Counter[str]) -> None:
    row = {
        "prompt": dialogue.first.prompt,
        "prompt_id": prompt_id([user(dialogue.first.prompt)]),
        "messages": dialogue.messages,
        "persona": dialogue.persona,
        "origin": dialogue.first.origin,
    }
    if dialogue.set_aside is None:
        files.write("dialogues", row)
    else:
        reasons[dialogue.set_aside.reason] += 1
        files.write("set_aside", {**row, **asdict(dialogue.set_aside)})


def _result(
    recipe: DialoguesRecipe, counts: dict[str, int], n_tried: int, tally: Tally, reasons: Counter[str]
) -> dict[str, Any]:
    n_written = counts["dialogues"]
    log.info(
        "  %s dialogues, %s set aside, %s near duplicates dropped before", n_written, reasons.total(), tally.dropped
    )
    warnings = []
    if n_tried < recipe.dialogues.count:
        warnings.append(
            f"{recipe.dialogues.count:,} dialogues were wanted, and {n_tried:,} first instructions are left without "
            "near duplicates: more seeds, or a higher dialogues.max_similarity"
        )
    return {
        "numbers": {
            "dialogues": n_written,
            "set_aside": reasons.total(),
            "near_duplicates": tally.dropped,
        },
        "counts": {
            "seeds_read": tally.rows_read,
            "unusable": dict(tally.unusable.most_common()),
            "subtopics": tally.subtopics,
            "first_instructions": dict(tally.written),
            "instructions_not_written": tally.not_written,
            "near_duplicates": tally.dropped,
            "not_needed": tally.left,
            "dialogues_tried": n_tried,
            "dialogues": n_written,
            "set_aside": dict(reasons.most_common()),
        },
        "warnings": warnings,
        "provenance": {
            "data": [identity(source, cache_root() / "sha256") for source in recipe.dialogues.seeds],
            "wording": wording_identity(wording_file(recipe.dialogues.prompts, "dialogues")),
        },
    }
