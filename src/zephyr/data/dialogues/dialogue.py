"""One dialogue: the teacher answers, takes the user's place for the next instruction, answers again."""

from dataclasses import dataclass

from zephyr.data.asking import SetAside, ask_usable, drawn
from zephyr.data.dialogues.first_instructions import DialogueWording, unquoted
from zephyr.data.dialogues.similar import words
from zephyr.data.turns import Messages, assistant, prompt_id, user
from zephyr.data.wording import fill
from zephyr.recipe.dialogues import DialoguesRecipe
from zephyr.teacher.ask import Teacher
from zephyr.teacher.call import Answer, Call


@dataclass(frozen=True, kw_only=True)
class First:
    """A first instruction and what is drawn for its dialogue."""

    prompt: str
    origin: str
    """`seed`, `topic: ...` or `examples`."""


@dataclass(frozen=True, kw_only=True)
class Dialogue:
    """A dialogue as far as it came."""

    first: First
    persona: str
    messages: Messages
    set_aside: SetAside | None = None
    """Why it ended before its time."""


async def write_dialogue(teacher: Teacher, recipe: DialoguesRecipe, wording: DialogueWording, first: First) -> Dialogue:
    """Answer, next instruction, answer, ..., for as many turns as are drawn for the first instruction."""
    messages: Messages = [user(first.prompt)]
    rng = drawn(recipe.seed, "dialogue", prompt_id(messages))
    n_turns = rng.choice(recipe.dialogues.turns)
    weights = recipe.dialogues.personas or dict.fromkeys(wording.personas, 1.0)
    (persona,) = rng.choices(list(weights), weights=list(weights.values()))
    for turn in range(n_turns):
        if turn:
            asked = fill(wording.next_turn, persona=wording.personas[persona], aim=rng.choice(wording.aims))
            found = await _say(teacher, recipe, [*messages, user(asked)], f"instruction {turn + 1}", messages)
            if isinstance(found, SetAside):
                return Dialogue(first=first, persona=persona, messages=messages, set_aside=found)
            messages = [*messages, user(said_by_user(found.text))]
        found = await _say(teacher, recipe, messages, f"answer {turn + 1}", None)
        if isinstance(found, SetAside):
            return Dialogue(first=first, persona=persona, messages=messages, set_aside=found)
        messages = [*messages, assistant(found.text.strip())]
    return Dialogue(first=first, persona=persona, messages=messages)


async def _say(
    teacher: Teacher, recipe: DialoguesRecipe, messages: Messages, step: str, before: Messages | None
) -> Answer | SetAside:
    """The teacher's next text; with `before` it is the user's, who says nothing twice."""
    call = Call(
        messages=tuple(messages),
        temperature=recipe.sampling.temperature,
        top_p=recipe.sampling.top_p,
        max_tokens=recipe.sampling.max_tokens,
        seed=recipe.seed,
    )

    def fault_of(text: str) -> str | None:
        return None if before is None else fault_of_instruction(said_by_user(text), before)

    return await ask_usable(
        teacher, recipe.teacher, call, step=step, attempts=recipe.dialogues.attempts, fault_of=fault_of
    )


def said_by_user(text: str) -> str:
    """A next instruction without the label and the quotation marks that teachers put around it at times."""
    text = text.strip()
    for label in ("User:", "**User:**", "Human:"):
        text = text.removeprefix(label).strip()
    return unquoted(text)


def fault_of_instruction(text: str, before: Messages) -> str | None:
    """Why a next instruction can't be used: it says nothing, or what was said before."""
    said = words(text)
    if not said:
        return "an instruction without words"
    if any(words(each["content"]) == said for each in before):
        return "a repetition"
    return None
