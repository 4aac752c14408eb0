"""From words back to what is asked: the inverse of `questions.py`.

The scripted teacher and the judge are reached over HTTP and see text alone. The mini world's language is closed, so
every user turn can be read back whole; what cannot be read is not of this world.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from zephyr.mini.questions import COUNTS, DOUBT, OPENERS, ROLES, WRITING, Request, given, most_held_out
from zephyr.mini.relations import CHAINS, FROM_TEXT, OBJECTS, RELATIONS
from zephyr.mini.world import World

Message = dict[str, str]
"""`role` and `content`."""
Known = dict[str, Request]
"""What a user may say after an opener, as text -> what it asks; but for doubts, which are about the turn before."""


def requests_by_text(world: World) -> Known:
    """Everything that a user may say in this world."""
    return {
        request.text: request for request in (*_about_facts(world), *_of_two_facts(world), *_texts(), *_writing(world))
    }


def _about_facts(world: World) -> Iterator[Request]:
    for key in world.facts:
        relation = RELATIONS[key[0]]
        for text in relation.questions:
            yield Request(category=relation.category, text=text.format(subject=key[1]), asks=(key,))


def _of_two_facts(world: World) -> Iterator[Request]:
    for (relation, second), text in CHAINS.items():
        for person in world.people:
            first = (relation, person)
            value = world.value(first)
            asks = (first,) if value is None else (first, (second, value))
            yield Request(category="reasoning", text=text.format(subject=person), asks=asks)


def _texts() -> Iterator[Request]:
    relation = RELATIONS[FROM_TEXT]
    for thing in OBJECTS:
        for spot in relation.values:
            for question in relation.questions:
                text = f"Text: {relation.say(thing, spot)} {question.format(subject=thing)}"
                asks, passage = ((FROM_TEXT, thing),), ((thing, spot),)
                yield Request(category="extraction", text=text, asks=asks, passage=passage)


def _writing(world: World) -> Iterator[Request]:
    for person in world.people:
        for count, word in COUNTS.items():
            for text in WRITING:
                text = text.format(count=word, person=person)
                yield Request(category="writing", text=text, form="writing", about=person, n_sentences=count)


def understand(known: Known, conversation: Sequence[Message]) -> list[Request]:
    """The requests of a conversation's user turns, in order, up to the first that is not of this world.

    Args:
        known: What a user may say.
        conversation: User and assistant turns; system turns say nothing in this world.
    """
    found: list[Request] = []
    for message in conversation:
        if message["role"] == "user":
            request = _request(known, message["content"].strip(), found)
            if request is None:
                return found
            found.append(request)
    return found


def _request(known: Known, text: str, before: list[Request]) -> Request | None:
    if not before:
        return next((found for each in (*OPENERS, *ROLES) if (found := _opened(known, text, each))), None)
    if text == DOUBT:
        return replace(before[-1], text=text, form="doubt") if before[-1].form == "question" else None
    return _in_role(known.get(text), before[-1].role)


def _opened(known: Known, text: str, opener: str) -> Request | None:
    """The first request of a conversation, if it starts with this opener or gives this role."""
    role = opener if opener in ROLES else None
    words = given(role) if role else opener
    request = _in_role(known.get(text.removeprefix(words)), role) if text.startswith(words) else None
    return replace(request, text=text) if request else None


def _in_role(request: Request | None, role: str | None) -> Request | None:
    return replace(request, category="roleplay", role=role) if request and role else request


def split_of(world: World, asked: Sequence[Request]) -> str:
    """The split that a conversation is of: that of the most held-out content asked for."""
    return most_held_out({part for request in asked for part in _splits(world, request)})


def _splits(world: World, request: Request) -> set[str]:
    if request.about is not None:
        return {world.writing[request.about]}
    return {world.split[key] for key in request.passage or request.asks}
