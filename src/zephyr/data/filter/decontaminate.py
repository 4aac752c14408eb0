"""Benchmark questions in a dialogue: whole, in other case or punctuation, embedded in a longer text, or nearly.

All comparison is of words, so case, punctuation and white space never matter. A turn is compared with a question only
where it holds enough of the question's word sequences; then

- the same words on their own, as a turn or as a sentence of one, are `exact`;
- the same words inside a sentence are `embedded`, from EMBEDDED_WORDS words on: shorter ones occur by chance;
- a passage that is nearly the same, and has the question's rarer words, is `near`, from `min_near_words` words on.
"""

# ruff: noqa: SIM905 (a list of words reads better so)
from collections import Counter
from functools import cache

from zephyr.data.filter.found import Found
from zephyr.data.filter.questions import Index, Question, sentences, sequences
from zephyr.data.filter.words import words
from zephyr.data.turns import Messages
from zephyr.recipe.filter import Decontaminate

EMBEDDED_WORDS = 6
SHORT_LINE = 40
"""Characters up to which a line is looked up as a whole."""
SHORTEST_SENTENCE = 4
"""Words from which a sentence of a turn, not only a whole turn, may be a question."""
CONTENT_SHARE = 0.65
"""Share of a question's content words that a near copy holds: other ones make it another question."""
SURE_SIMILARITY, SURE_WORDS = 0.9, 20
"""From either on a passage is a near copy even if it no longer asks."""
FRAME = frozenset(
    "a an the of in on at to for from by with and or but if is are was were be been do does did has have had "
    "can could will would should may might must what which who whom whose when where why how that this these "
    "those it its they their them there he she his her you your we our i my me not no following statement true "
    "false best most more than as between difference describe explain write give about into one some any all".split()
)
"""Words that many questions share."""


def contaminated(messages: Messages, settings: Decontaminate, index: Index) -> Found | None:
    """The first benchmark question found in a turn, as `benchmark: exact`, `: embedded` or `: near`."""
    for turn in messages:
        if turn["role"] == "user" or settings.turns == "all":
            found = in_text(turn["content"], settings, index)
            if found is not None:
                return found
    return None


def in_text(text: str, settings: Decontaminate, index: Index) -> Found | None:
    """The benchmark question that a text holds, if any."""
    said = words(text)
    joined = "".join(said)  # without blanks: "3-4" may have become "34", "and/or" "andor"
    number = index.whole.get(joined, _on_a_line(text, index))
    if number is not None:
        return _found(index.questions[number], "exact")
    grams = set(sequences(said, settings.ngram))
    hits: Counter[int] = Counter()
    for gram in grams & index.by_gram.keys():
        hits.update(index.by_gram[gram])
    candidates = [number for number, n in hits.items() if n >= settings.min_overlap * index.n_grams[number]]
    for number in sorted(candidates, key=lambda each: (-hits[each] / index.n_grams[each], each)):
        how = _how(index.questions[number], text, said, joined, settings)
        if how:
            return _found(index.questions[number], how)
    return None


def _on_a_line(text: str, index: Index) -> int | None:
    """The short question that stands on a line of its own; longer ones are found by their sequences."""
    for line in text.split("\n"):
        if len(line) <= SHORT_LINE and len(said := words(line)) > 1:
            number = index.whole.get("".join(said))
            if number is not None and content(index.questions[number]):
                return number
    return None


def _found(question: Question, how: str) -> Found:
    return Found(f"{question.benchmark}: {how}", " ".join(question.text.split())[:200])


def _how(question: Question, text: str, said: list[str], joined: str, settings: Decontaminate) -> str | None:
    whole = "".join(question.words)
    if whole in joined:
        if len(question.words) >= SHORTEST_SENTENCE and content(question) and whole in sentences(text):
            return "exact"
        return "embedded" if len(question.words) >= EMBEDDED_WORDS and len(content(question)) >= 2 else None
    if len(question.words) < settings.min_near_words:
        return None
    return "near" if nearly(question, said, settings) else None


def asks_alike(question: Question, around: list[str]) -> bool:
    """Whether a passage asks at all where the question does: a statement of the same fact is no copy of it."""
    asked = [word for word in question.words if word in ASKING]
    return not asked or any(word.startswith(each) for word in around for each in asked)


ASKING = frozenset(("what", "who", "whom", "whose", "when", "where", "why", "how", "which"))


def nearly(question: Question, said: list[str], settings: Decontaminate) -> bool:
    """Whether a passage of a text is nearly the question."""
    from rapidfuzz import fuzz

    around = _around(question, said, settings.ngram)
    rare = content(question)
    if len(rare & set(around)) < CONTENT_SHARE * len(rare):
        return False
    whole, near = " ".join(question.words), " ".join(around)
    if len(near) < settings.min_similarity * len(whole):
        return False
    similarity = fuzz.partial_ratio(whole, near) / 100
    sure = similarity >= SURE_SIMILARITY or len(question.words) >= SURE_WORDS
    return similarity >= settings.min_similarity and (sure or asks_alike(question, around))


def _around(question: Question, said: list[str], ngram: int) -> list[str]:
    """The part of a text that holds most of the question's sequences: as many words as it has, and a quarter more."""
    grams = set(sequences(question.words, ngram))
    held = [gram in grams for gram in sequences(said, ngram)]
    width = len(question.words) + len(question.words) // 4 + 1
    n = best = sum(held[:width])
    start = 0
    for end in range(width, len(held)):
        n += held[end] - held[end - width]
        if n > best:
            best, start = n, end - width + 1
    return said[max(0, start - ngram) : start + width + ngram]


@cache
def content(question: Question) -> frozenset[str]:
    """A question's words without those that many questions share, and without numbers: a copy may have others."""
    return frozenset(word for word in question.words if word not in FRAME and not word.isdigit())
