"""The judge of the mini world: scores answers against the truth, where MT-Bench and UltraFeedback ask a model.

Four aspects from 1 to 5, those of UltraFeedback: instruction following, truthfulness, honesty, helpfulness. Their mean,
stretched to 1-10, is the score of a turn; a dialogue's is the mean of its turns, as in MT-Bench.
"""

from dataclasses import asdict, dataclass
from statistics import mean

from zephyr.mini.questions import ROLES, Request
from zephyr.mini.relations import FROM_TEXT, RELATIONS
from zephyr.mini.teacher import BOILERPLATE, CAVING, SURE
from zephyr.mini.world import Claim, World, read, sentences


@dataclass(frozen=True, kw_only=True)
class Aspects:
    """What one answer earned, each from 1 to 5."""

    instruction_following: int
    truthfulness: float
    honesty: int
    helpfulness: int

    @property
    def by_name(self) -> dict[str, float]:
        """Aspect -> what it earned."""
        return asdict(self)

    @property
    def score(self) -> float:
        """Their mean, stretched to 1-10."""
        return 1 + 9 * (mean(self.by_name.values()) - 1) / 4


@dataclass(frozen=True, kw_only=True)
class Judgment:
    """A dialogue judged."""

    turns: tuple[Aspects, ...]
    correct: tuple[bool, ...]
    """Per turn: the fact asked for was given and nothing said was false, whatever the manners."""
    boilerplate: tuple[bool, ...]
    """Per turn: the answer has an empty phrase."""

    @property
    def turn_scores(self) -> tuple[float, ...]:
        """Score of each turn, 1-10."""
        return tuple(turn.score for turn in self.turns)

    @property
    def score(self) -> float:
        """Mean of the turns, 1-10."""
        return mean(self.turn_scores)

    @property
    def aspects(self) -> dict[str, float]:
        """Each aspect's mean over the turns, 1-5."""
        rows = [turn.by_name for turn in self.turns]
        return {name: mean(row[name] for row in rows) for name in rows[0]}


@dataclass(frozen=True, kw_only=True)
class _Heard:
    """An answer taken apart."""

    claims: list[Claim]
    n_sentences: int
    in_role: bool
    boilerplate: bool
    n_odd: int
    """Sentences beside the point: not of this world, said twice, or about something that was not asked."""
    terse: bool
    """The answer is a bare value."""


def judge(world: World, prompt: list[Request], answers: list[str]) -> Judgment:
    """Judges the answers to the turns of one dialogue, in order."""
    heard = [_hear(request, text) for request, text in zip(prompt, answers, strict=True)]
    both = list(zip(prompt, heard, strict=True))
    return Judgment(
        turns=tuple(_aspects(world, request, each) for request, each in both),
        correct=tuple(_right(world, request, each) and not _wrong(world, request, each) for request, each in both),
        boilerplate=tuple(each.boilerplate for each in heard),
    )


def _hear(request: Request, text: str) -> _Heard:
    said = sentences(text)
    interjection = ROLES.get(request.role or "")
    in_role = interjection is None or interjection in said
    said = [each for each in said if each != interjection]
    body = [each for each in said if each not in BOILERPLATE]
    kept = [each for each in body if not (request.form == "doubt" and each in (SURE, CAVING))]
    claims = [claim for each in kept if (claim := _claim(request, each, alone=len(kept) == 1))]
    to_the_point = {claim for claim in claims if claim.key in request.asks or claim.key[1] == request.about}
    return _Heard(
        claims=list(dict.fromkeys(claims)),
        n_sentences=len(body),
        in_role=in_role,
        boilerplate=len(body) < len(said),
        n_odd=len(kept) - len(to_the_point),
        terse=len(kept) == 1 and len(claims) == 1 and read(kept[0]) is None,
    )


def _claim(request: Request, sentence: str, *, alone: bool) -> Claim | None:
    """What a sentence says in reply to the request, where a bare value stands for a claim about the fact asked for."""
    if not request.asks:
        return read(sentence)
    asked = request.asks[-1]
    said = sentence.removesuffix(".")
    value = next((each for each in RELATIONS[asked[0]].values if each.lower() == said.lower()), None)
    return Claim(key=asked, value=value) if alone and value is not None else read(sentence)


def _true(world: World, request: Request, claim: Claim) -> bool:
    passage = dict(request.passage)
    known = claim.key in world.facts or claim.key[0] == FROM_TEXT
    return known and world.value(claim.key, passage) == claim.value


def _wrong(world: World, request: Request, heard: _Heard) -> bool:
    return not all(_true(world, request, claim) for claim in heard.claims)


def _addressed(request: Request, heard: _Heard) -> bool:
    """Whether the answer speaks of what was asked, right or wrong."""
    if request.about:
        return any(claim.key[1] == request.about for claim in heard.claims)
    return any(claim.key == request.asks[-1] for claim in heard.claims)


def _right(world: World, request: Request, heard: _Heard) -> bool:
    """Whether the fact asked for is given as it is; in writing: enough true sentences about the person."""
    true = [claim for claim in heard.claims if _true(world, request, claim)]
    if request.about:
        return sum(claim.key[1] == request.about for claim in true) >= request.n_sentences
    return any(claim.key == request.asks[-1] for claim in true)


def _aspects(world: World, request: Request, heard: _Heard) -> Aspects:
    addressed, right = _addressed(request, heard), _right(world, request, heard)
    n_true = sum(_true(world, request, claim) for claim in heard.claims)
    return Aspects(
        instruction_following=_instruction_following(request, heard) if addressed else 1,
        truthfulness=1 + 4 * n_true / len(heard.claims) if addressed else 1,
        honesty=(1 if n_true < len(heard.claims) else 5) if addressed else 1,
        helpfulness=_helpfulness(request, heard) if right else 1,
    )


def _instruction_following(request: Request, heard: _Heard) -> int:
    lost = 2 * (not heard.in_role) + heard.boilerplate + heard.n_odd
    if request.form == "writing":
        lost += 2 * (heard.n_sentences != request.n_sentences)
    else:
        lost += heard.terse
    return max(1, 5 - lost)


def _helpfulness(request: Request, heard: _Heard) -> int:
    """5 for the right answer; less where it is a bare value, lacks a step, or goes on and on."""
    lost = 2 * heard.boilerplate + 2 * heard.terse + heard.n_odd
    if request.form == "question" and not heard.terse:
        lost += len({claim.key for claim in heard.claims} & set(request.asks)) < len(request.asks)
    return max(1, 5 - lost)
