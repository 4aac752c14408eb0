"""The `dialogues` stage: self-instruct dialogues with a teacher (section 3.1 of arXiv 2310.16944).

The teacher answers a first instruction, then, put in the user's place, writes the next one from its answer, and so on.
Out: `dialogues.jsonl` (`prompt`, `prompt_id`, `messages`), `set_aside.jsonl` (what came to nothing, and why),
`duplicates.jsonl` (first instructions dropped as near duplicates of others), `unusable.jsonl` (rows that are no seeds).
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zephyr.cache import cache_root
from zephyr.data.asking import (
    Guard,
    drawn,
    refuse_not_cached,
    refuse_set_aside,
    refuse_unusable_rows,
    set_aside_kept,
)
from zephyr.data.call_steps import dialogue_steps
from zephyr.data.counts import UnusableRow, by_reason
from zephyr.data.dialogues.counts import Tally, causes_of, refuse_none
from zephyr.data.dialogues.dialogue import Dialogue, First, write_dialogue
from zephyr.data.dialogues.first_instructions import (
    DialogueWording,
    Request,
    Written,
    read_dialogue_wording,
    requests_for_instructions,
    requests_for_subtopics,
    write_instructions,
)
from zephyr.data.dialogues.similar import near_duplicates
from zephyr.data.prompts import Seed
from zephyr.data.row_files import RowFiles, row_files
from zephyr.data.sources import identity
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


def run(recipe: DialoguesRecipe, run_dir: Path) -> dict[str, Any]:
    """Writes the dialogues; returns the counts.

    Raises:
        UserError: rows are no seeds, the seeds can't give so many dialogues, the budget is used up, a model answers
            nothing any more or nothing usable, more dialogues than allowed came to nothing, or there is none at all.
    """
    wording = read_dialogue_wording(recipe.dialogues.prompts)
    check_personas(recipe, wording)
    seeds, tally = _seeds(recipe, run_dir)
    topics = list(dict.fromkeys(each.topic for each in seeds if each.topic))
    prompts = [each.prompt for each in seeds if each.prompt]
    _refuse_too_few(recipe, len(topics), len(prompts))
    steps = dialogue_steps(recipe, n_topics=len(topics), n_dialogues=recipe.dialogues.count)
    predicted = predict(steps.values())
    warnings = announce(predicted, recipe.budget, at_most=recipe.expect is None)
    with set_aside_kept(run_dir), row_files(run_dir, "dialogues", "set_aside", "duplicates") as files:
        instructions = _instructions(recipe, run_dir, topics, prompts, files, tally)
        chosen = _chosen(recipe, instructions, files, tally)
        guard = _guard(recipe, run_dir, "dialogues", len(chosen))
        _dialogues(recipe, run_dir, wording, chosen, files, guard)
        refuse_set_aside(
            guard.reasons, max(len(chosen), 1), recipe.dialogues.max_set_aside_share, what="dialogues",
            key="dialogues.max_set_aside_share", listed=guard.listed, again=guard.again, examples=guard.examples,
        )  # fmt: skip
        refuse_none(recipe.dialogues.count, files.counts["dialogues"], tally, guard)
    result = _result(recipe, files.counts, len(chosen), tally, guard.reasons)
    return result | {"warnings": [*warnings, *result["warnings"]], "asked": account(run_dir, predicted)}


def _guard(recipe: DialoguesRecipe, run_dir: Path, what: str, n_rows: int) -> Guard:
    again = f"`dialogues.attempts={recipe.dialogues.attempts + 2}`"
    return Guard(what=what, n_rows=n_rows, listed=run_dir / "set_aside.jsonl", again=again)


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


def _seeds(recipe: DialoguesRecipe, run_dir: Path) -> tuple[list[Seed], Tally]:
    """The seeds; UserError if more rows than allowed are none."""
    seeds: list[Seed] = []
    unusable: list[UnusableRow] = []
    for source in recipe.dialogues.seeds:
        for row, found in read_rows("dialogues", source, recipe.seed):
            if isinstance(found, Unusable):
                unusable.append(UnusableRow("seeds", row.source, row.line, row.index, found.reason, found.found))
            else:
                seeds.append(found)
    n_read = len(seeds) + len(unusable)
    refuse_unusable_rows(
        "dialogues.seeds", "dialogues.max_unusable_share", n_read, unusable, recipe.dialogues.max_unusable_share,
        run_dir / "unusable.jsonl",
    )  # fmt: skip
    prompts = sum(bool(each.prompt) for each in seeds)
    written = Counter(seed=prompts) if prompts else Counter[str]()
    return seeds, Tally(rows_read=n_read, unusable=Counter(by_reason(unusable)), written=written, not_written=0)


# First instructions


def _instructions(
    recipe: DialoguesRecipe,
    run_dir: Path,
    topics: list[str],
    prompts: Sequence[str],
    files: RowFiles,
    tally: Tally,
) -> list[First]:
    """Seed prompts, and what the teacher writes about topics and after examples."""

    def lists(requests: list[Request], label: str) -> Iterator[Written]:
        """What the teacher writes; what comes to nothing is listed."""
        found = run_rows(
            requests, lambda teacher, request: write_instructions(teacher, recipe, request), label=label,
            models={"teacher": recipe.teacher}, budget=recipe.budget, folder=run_dir, n_rows=len(requests),
        )  # fmt: skip
        guard = _guard(recipe, run_dir, f"lists of {label}", len(requests))
        with closing(found):
            for _, written in found:
                why = written.set_aside
                if why is not None:
                    files.write("set_aside", {"origin": written.request.origin, **asdict(why)})
                guard.see(why, reason=why.reason if why else "")
                yield written
        refuse_not_cached(guard.reasons, len(requests), what=guard.what)
        tally.lists += len(requests)
        tally.lists_set_aside.update(guard.reasons)
        for reason, each in guard.examples.items():
            tally.examples.setdefault(reason, each)

    if recipe.dialogues.subtopics_per_topic and topics:
        divided = lists(requests_for_subtopics(recipe, topics), "subtopics")
        topics = list(dict.fromkeys(text for written in divided for text in written.instructions))
        tally.subtopics = len(topics)
    found = [First(prompt=text, origin="seed") for text in prompts]
    requests = requests_for_instructions(recipe, topics, prompts)
    for written in lists(requests, "first instructions") if requests else ():
        tally.written[written.request.origin.split(":")[0]] += len(written.instructions)
        missing = written.request.count - len(written.instructions)
        tally.not_written += missing
        tally.written_short += 0 if written.set_aside else missing
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


def _dialogues(
    recipe: DialoguesRecipe,
    run_dir: Path,
    wording: DialogueWording,
    chosen: list[First],
    files: RowFiles,
    guard: Guard,
) -> None:
    """Writes the dialogues, each to the file where it belongs."""
    found = run_rows(
        chosen, lambda teacher, first: write_dialogue(teacher, recipe, wording, first),
        models={"teacher": recipe.teacher}, budget=recipe.budget, folder=run_dir, n_rows=len(chosen), label="dialogues",
    )  # fmt: skip
    with closing(found):
        for _, dialogue in found:
            why = dialogue.set_aside
            _write(dialogue, files)
            guard.see(why, reason=why.reason if why else "", any_usable=_some_went_well(dialogue))


def _some_went_well(dialogue: Dialogue) -> bool:
    """Whether the teacher did write, earlier in the dialogue, a text of the kind at which it failed."""
    failed_as_user = dialogue.set_aside is not None and dialogue.set_aside.step.startswith("instruction")
    return len(dialogue.messages) > (2 if failed_as_user else 1)


# What came of it


def _write(dialogue: Dialogue, files: RowFiles) -> None:
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
        files.write("set_aside", {**row, **asdict(dialogue.set_aside)})


def _result(
    recipe: DialoguesRecipe, counts: dict[str, int], n_tried: int, tally: Tally, reasons: Counter[str]
) -> dict[str, Any]:
    n_written = counts["dialogues"]
    n_lists = tally.lists_set_aside.total()
    log.info(
        "  %s dialogues; %s set aside (%s dialogues, %s lists of instructions); %s near duplicates dropped before",
        n_written, counts["set_aside"], reasons.total(), n_lists, tally.dropped,
    )  # fmt: skip
    warnings = []
    if n_written < recipe.dialogues.count:
        causes = "; ".join(causes_of(tally, reasons.total()))
        warnings.append(f"{n_written:,} dialogues instead of the {recipe.dialogues.count:,} that were wanted: {causes}")
    for each in warnings:
        log.warning("  %s", each)
    return {
        "numbers": {
            "dialogues": n_written,
            "set_aside": counts["set_aside"],
            "near_duplicates": tally.dropped,
        },
        "counts": {
            "seeds_read": tally.rows_read,
            "unusable": dict(tally.unusable.most_common()),
            "subtopics": tally.subtopics,
            "first_instructions": dict(tally.written),
            "instructions_not_written": tally.not_written,
            "lists_set_aside": dict(tally.lists_set_aside.most_common()),
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
