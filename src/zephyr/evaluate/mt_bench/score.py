"""MT-Bench's figures from judgments: average, per turn, per category, with intervals; and two models compared.

The average is FastChat's: the mean over all rated turns. What has no rating is counted and is in no mean. Questions are
drawn again for the intervals, each with both its turns and all its ratings, as they go together.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zephyr.evaluate.mt_bench.files import FAILED_CALL, Judgment
from zephyr.evaluate.mt_bench.judging import FIRST_QUESTION, N_QUESTIONS, TEMPERATURES, category_of, parse_score
from zephyr.evaluate.statistics import Difference, Mean, clustered_difference, clustered_mean

LOWEST, HIGHEST = 1, 10


@dataclass(frozen=True, kw_only=True)
class MtBenchScore:
    """One model's figures by one judge."""

    model: str
    judge: str
    average: Mean | None
    """Over all ratings; None when there is none."""
    by_turn: Mapping[int, Mean]
    """1 and 2, as far as rated."""
    by_category: Mapping[str, Mean]
    """In MT-Bench's order; questions of an unknown category are in none."""
    n_failed: int
    """Judgments without a rating."""
    n_questions: int
    """Questions with at least one judgment."""
    notes: tuple[str, ...]
    """What a reader must know of these judgments."""
    cells: Mapping[tuple[int, int], float]
    """(question, turn) -> mean rating: what another model is compared on."""

    @property
    def n(self) -> int:
        """Judgments with a rating."""
        return self.average.n if self.average else 0


def scores(judgments: Sequence[Judgment], categories: Mapping[int, str] | None) -> list[MtBenchScore]:
    """Figures of every model and judge among the judgments, best first.

    `categories` says a question's category; None: by MT-Bench's own numbering.
    """
    groups: dict[tuple[str, str], list[Judgment]] = defaultdict(list)
    for each in judgments:
        groups[each.model, each.judge].append(each)
    found = [_score(model, judge, group, categories) for (model, judge), group in groups.items()]
    return sorted(found, key=lambda each: -each.average.value if each.average else 0)


def _score(model: str, judge: str, lines: list[Judgment], categories: Mapping[int, str] | None) -> MtBenchScore:
    judgments = list(dict.fromkeys(lines))  # the same judgment twice is one
    rated = [(each, each.score) for each in judgments if each.score is not None]
    named = {each.question_id: _category(each.question_id, categories) for each in judgments}
    in_order = [*TEMPERATURES, *sorted({name for name in named.values() if name} - set(TEMPERATURES))]
    cells: dict[tuple[int, int], list[float]] = defaultdict(list)
    for each, score in rated:
        cells[each.question_id, each.turn].append(score)
    return MtBenchScore(
        model=model,
        judge=judge,
        average=_mean(rated),
        by_turn={turn: mean for turn in (1, 2) if (mean := _mean([row for row in rated if row[0].turn == turn]))},
        by_category={
            name: mean
            for name in in_order
            if (mean := _mean([row for row in rated if named[row[0].question_id] == name]))
        },
        n_failed=len(judgments) - len(rated),
        n_questions=len(named),
        notes=tuple(_notes(judgments, len(lines) - len(judgments), by_number=categories is None)),
        cells={cell: sum(ratings) / len(ratings) for cell, ratings in cells.items()},
    )


def _category(question: int, categories: Mapping[int, str] | None) -> str | None:
    return category_of(question) if categories is None else categories.get(question)


def _mean(rated: Sequence[tuple[Judgment, float]]) -> Mean | None:
    by_question: dict[int, list[float]] = defaultdict(list)
    for each, score in rated:
        by_question[each.question_id].append(score)
    return clustered_mean(list(by_question.values())) if by_question else None


def _notes(judgments: Sequence[Judgment], repeated: int, *, by_number: bool) -> list[str]:
    notes = []
    questions = {each.question_id for each in judgments}
    cells = Counter((each.question_id, each.turn) for each in judgments)
    ours = set(range(FIRST_QUESTION, FIRST_QUESTION + N_QUESTIONS))
    if by_number and questions <= ours and (missing := 2 * N_QUESTIONS - len(cells)):
        notes.append(f"incomplete: {missing} of MT-Bench's {2 * N_QUESTIONS} turns were not judged")
    elif by_number and (strange := len(questions - ours)):
        notes.append(f"{strange} questions are not numbered as MT-Bench's ({FIRST_QUESTION} to 160): no category")
    times = Counter(cells.values())
    if max(times) > 1:
        told = f"every turn {max(times)} times" if len(times) == 1 else f"some turns up to {max(times)} times"
        notes.append(f"rated more than once: {told}{_other_answers(judgments)}; all ratings count")
    if repeated:
        notes.append(f"{repeated} lines of the file repeat another one and were left out")
    if calls := sum(each.text == FAILED_CALL for each in judgments):
        notes.append(f"{calls} failed judgments are calls that failed")
    if outside := sum(each.score is not None and not LOWEST <= each.score <= HIGHEST for each in judgments):
        notes.append(f"{outside} ratings lie outside {LOWEST} to {HIGHEST}; they count as FastChat counts them")
    if other := sum(each.text != FAILED_CALL and parse_score(each.text) != each.score for each in judgments):
        notes.append(
            f"{other} stored scores are not what FastChat's parser reads in the judgment; the stored ones count"
        )
    return notes


def _other_answers(judgments: Sequence[Judgment]) -> str:
    """FastChat adds to its file, so that answers made anew under an old name stand there beside the old ones."""
    prompts: dict[tuple[int, int], set[str]] = defaultdict(set)
    for each in judgments:
        prompts[each.question_id, each.turn].add(each.user_prompt)
    different = sum(len(found) > 1 for found in prompts.values())
    return f", {different} of them for different answers under this one name" if different else ""


def summary(found: MtBenchScore) -> dict[str, Any]:
    """As an `evaluate` run's result.json has it, for the report."""
    return {
        "score": found.average.value if found.average else None,
        "interval": found.average and found.average.bounds,
        "n": found.n,
        "n_failed": found.n_failed,
        "n_questions": found.n_questions,
        "judge": found.judge,
        "turn_1": found.by_turn[1].value if 1 in found.by_turn else None,
        "turn_2": found.by_turn[2].value if 2 in found.by_turn else None,
        "by_category": {
            name: {"score": mean.value, "interval": mean.bounds, "n": mean.n}
            for name, mean in found.by_category.items()
        },
        "notes": list(found.notes),
    }


def compare(a: MtBenchScore, b: MtBenchScore) -> Difference | str:
    """Mean of b - a over the turns that both have a rating for, by question; or why they can't be compared."""
    if a.judge != b.judge:
        return f"other judges ({a.judge}, {b.judge})"
    by_question: dict[int, list[float]] = defaultdict(list)
    for cell in a.cells.keys() & b.cells.keys():
        by_question[cell[0]].append(b.cells[cell] - a.cells[cell])
    if len(by_question) < 2:
        return "no two questions in common"
    return clustered_difference([by_question[question] for question in sorted(by_question)])
