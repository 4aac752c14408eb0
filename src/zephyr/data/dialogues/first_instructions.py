"""First instructions of dialogues: seed prompts, and those that the teacher writes about topics or after examples."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import Field

from zephyr.data.asking import SetAside, ask_usable, drawn
from zephyr.data.json_in_text import KeyTwice, objects_in
from zephyr.data.wording import check_places, fill, read_wording, wording_file
from zephyr.errors import UserError
from zephyr.recipe.dialogues import DialoguesRecipe
from zephyr.recipe.sections import section
from zephyr.teacher.ask import Teacher
from zephyr.teacher.call import Answer, Call

PARTS_APART = 1000
"""Between the seeds of equal requests; those between are for further tries."""
SCHEMA = {
    "type": "object",
    "properties": {"instructions": {"type": "array", "items": {"type": "string"}}},
    "required": ["instructions"],
    "additionalProperties": False,
}


@section
class DialogueWording:
    """What the teacher is told, by role."""

    personas: dict[str, str] = Field(min_length=1)
    """Name -> who the simulated user is."""
    aims: list[str] = Field(min_length=1)
    """What the user may be after with the next message."""
    next_turn: str
    """How the teacher is asked for the user's next message."""
    kinds: list[str] = Field(min_length=1)
    """What first instructions may be."""
    subtopics: str
    """How the teacher is asked to divide a topic."""
    from_topic: str
    """How the teacher is asked for first instructions about a topic."""
    from_examples: str
    """How the teacher is asked for first instructions like some that it is shown."""


def read_dialogue_wording(name: str) -> DialogueWording:
    """The wording that a recipe names.

    Raises:
        UserError: it is not of the form expected.
    """
    file = wording_file(name, "dialogues")
    wording: DialogueWording = read_wording(DialogueWording, file)
    check_places(wording.next_turn, needed={"persona", "aim"}, allowed=set(), where=f"{file}: next_turn")
    check_places(wording.subtopics, needed={"topic", "count"}, allowed=set(), where=f"{file}: subtopics")
    check_places(wording.from_topic, needed={"topic", "count"}, allowed={"kind"}, where=f"{file}: from_topic")
    check_places(wording.from_examples, needed={"examples", "count"}, allowed={"kind"}, where=f"{file}: from_examples")
    return wording


@dataclass(frozen=True, kw_only=True)
class Request:
    """A call for first instructions."""

    text: str
    """What the teacher is asked."""
    count: int
    """Instructions wanted."""
    origin: str
    """Where they will be from: `topic: ...`, or `examples`."""
    part: int = 0
    """Which of several equal requests: each has a seed of its own, or it would get the same answer."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What came of a call for first instructions."""

    request: Request
    instructions: tuple[str, ...]
    set_aside: SetAside | None = None


def requests_for_subtopics(recipe: DialoguesRecipe, topics: Sequence[str]) -> list[Request]:
    """Every call that divides a topic; none where topics stay as they are."""
    template = read_dialogue_wording(recipe.dialogues.prompts).subtopics
    return [
        Request(text=fill(template, topic=topic, count=count), count=count, origin=f"topic: {topic}", part=n)
        for topic in topics
        for n, count in enumerate(_portions(recipe.dialogues.subtopics_per_topic, recipe))
    ]


def requests_for_instructions(recipe: DialoguesRecipe, topics: Sequence[str], prompts: Sequence[str]) -> list[Request]:
    """Every call for first instructions, the same for the same recipe, topics and seed prompts."""
    wording = read_dialogue_wording(recipe.dialogues.prompts)
    return [*_about_topics(recipe, wording, topics), *_after_examples(recipe, wording, prompts)]


def _about_topics(recipe: DialoguesRecipe, wording: DialogueWording, topics: Sequence[str]) -> Iterator[Request]:
    for topic in topics:
        kinds = drawn(recipe.seed, "kinds", topic).sample(wording.kinds, len(wording.kinds))
        for n, count in enumerate(_portions(recipe.dialogues.instructions_per_topic, recipe)):
            text = fill(wording.from_topic, topic=topic, count=count, kind=kinds[n % len(kinds)])
            yield Request(text=text, count=count, origin=f"topic: {topic}", part=n)


def _after_examples(recipe: DialoguesRecipe, wording: DialogueWording, prompts: Sequence[str]) -> Iterator[Request]:
    wanted = recipe.dialogues.instructions_like_seeds
    if wanted and not prompts:
        raise UserError("dialogues.instructions_like_seeds needs seeds with a `prompt` to show to the teacher")
    for n, count in enumerate(_portions(wanted, recipe)):
        rng = drawn(recipe.seed, "examples", n)
        shown = rng.sample(prompts, min(recipe.dialogues.examples, len(prompts)))
        examples = "\n\n".join(f"{number}. {text}" for number, text in enumerate(shown, start=1))
        text = fill(wording.from_examples, examples=examples, count=count, kind=rng.choice(wording.kinds))
        yield Request(text=text, count=count, origin="examples")


def _portions(wanted: int, recipe: DialoguesRecipe) -> list[int]:
    """Instructions of each call: 10, 10, 5."""
    most = recipe.dialogues.instructions_per_call
    n_calls = math.ceil(wanted / most)
    return [min(most, wanted - n * most) for n in range(n_calls)]


async def write_instructions(teacher: Teacher, recipe: DialoguesRecipe, request: Request) -> Written:
    """The teacher writes instructions; more than were wanted are left, fewer are taken."""
    call = Call(
        messages=({"role": "user", "content": request.text},),
        temperature=recipe.sampling.temperature,
        top_p=recipe.sampling.top_p,
        max_tokens=recipe.sampling.max_tokens,
        seed=recipe.seed + PARTS_APART * request.part,
        json_schema=SCHEMA,
    )
    found = await ask_usable(
        teacher, recipe.teacher, call, step="instructions", attempts=recipe.dialogues.attempts,
        fault_of=lambda text: None if read_list(text) else "no list of instructions",
    )  # fmt: skip
    if isinstance(found, Answer):
        return Written(request=request, instructions=tuple(read_list(found.text)[: request.count]))
    return Written(request=request, instructions=(), set_aside=found)


_ITEM = re.compile(r"^\s*(?:\d{1,3}[.):]|[-*•])\s+(.+?)\s*$", re.MULTILINE)


def read_list(text: str) -> list[str]:
    """The instructions in what the teacher wrote: a JSON list, bare or in an object, or a list with one a line."""
    try:
        values, broken = objects_in(text)
    except KeyTwice:
        return []
    for value in values:
        while isinstance(value, dict) and len(value) == 1:
            value = next(iter(value.values()))
        if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
            return [each.strip() for each in value if each.strip()]
    if broken or values:
        return []
    return [unquoted(each) for each in _ITEM.findall(text) if unquoted(each)]


def unquoted(text: str) -> str:
    """A text without quotation marks around the whole of it."""
    text = text.strip()
    for opening, closing in (('"', '"'), ("'", "'"), ("“", "”"), ("«", "»"), ("„", "“")):
        inner = text[1:-1]
        if len(text) > 2 and text[0] == opening and text[-1] == closing and not {opening, closing} & set(inner):
            return inner.strip()
    return text
