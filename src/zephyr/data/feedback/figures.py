"""What scores are like: means by model and by place in the judge's list, agreement of repeated judgments, lengths."""

from collections import Counter, defaultdict
from statistics import mean
from typing import Any

from zephyr.data.feedback.rubric import OVERALL, Rubric
from zephyr.data.labels.figures import Labels, agreement
from zephyr.data.ultrafeedback import Score, from_ultrafeedback
from zephyr.recipe.teacher import LanguageModel


class Figures:
    """Collects them row by row."""

    def __init__(self, rubric: Rubric) -> None:
        self.n_rows = self.n_asked_again = 0
        self._rubric = rubric
        self._score: Score = "mean" if rubric.aspects else "overall"
        self._labels = Labels()
        self._not_applicable: Counter[str] = Counter()
        self._aspects: dict[str, list[float]] = defaultdict(list)
        self._by_place: dict[int, list[float]] = defaultdict(list)
        self._repeated: dict[str, list[list[tuple[float, ...]]]] = defaultdict(list)

    def add(self, row: dict[str, Any]) -> None:
        """Counts a scored row."""
        self.n_rows += 1
        self.n_asked_again += sum(bool(each["attempts"]) for each in row["judgments"])
        self._labels.add_prompt(from_ultrafeedback(row), self._score)
        for name in (*self._rubric.aspects, *([OVERALL] if self._rubric.overall else [])):
            self._add_aspect(name, row["completions"])
        self._add_places(row)

    def _add_aspect(self, name: str, completions: list[dict[str, Any]]) -> None:
        by_answer = [[each["ratings"][name] for each in one["judgments"]] for one in completions]
        for ratings in by_answer:
            self._not_applicable[name] += sum(each is None for each in ratings)
            self._aspects[name] += [each for each in ratings if each is not None]
        if len(by_answer[0]) > 1:
            whole = [tuple(each) for each in by_answer if None not in each]
            self._repeated[name] += [whole] if whole else []

    def _add_places(self, row: dict[str, Any]) -> None:
        """Scores by place in the list, from the first call of each repetition: all its calls have one order."""
        seen = set()
        for each in row["judgments"]:
            if len(each["order"]) < 2 or each["repeat"] in seen:
                continue
            seen.add(each["repeat"])
            for place, answer in enumerate(each["order"]):
                score = row["completions"][answer]["judgments"][each["repeat"]]["score"]
                if score is not None:
                    self._by_place[place].append(score)

    def found(self) -> dict[str, Any]:
        """All of them."""
        found = self._labels.figures()
        found["aspects"] = {
            name: {
                "mean": mean(values) if values else None,
                "n": len(values),
                "not_applicable": self._not_applicable[name],
                **({"agreement": agreement(self._repeated[name])} if self._repeated.get(name) else {}),
            }
            for name, values in self._aspects.items()
        }
        found["by_place"] = [{"mean": mean(each), "n": len(each)} for _, each in sorted(self._by_place.items())]
        return found

    def numbers(self) -> dict[str, float]:
        """The few that a reader wants, flat."""
        found = self._labels.figures()
        numbers = {f"score/{name}": each["score"] for name, each in found.get("models", {}).items() if "score" in each}
        rho = found.get("answers", {}).get("score_length_spearman_within_prompts", {}).get("value")
        same = found.get("agreement", {}).get("same_order", {}).get("value")
        numbers |= {} if rho is None else {"score_length_spearman": rho}
        numbers |= {} if same is None else {"judgments_same_order": same}
        return {name: round(value, 4) for name, value in numbers.items()}


def score_page(found: dict[str, Any]) -> str:
    """Means by aspect and by place, as Markdown to go under the label report."""
    lines = ["\n## Aspects\n", "| aspect | mean | n | not applicable |", "| --- | --- | --- | --- |"]
    for name, each in found["aspects"].items():
        mean_score = "" if each["mean"] is None else f"{each['mean']:.2f}"
        lines.append(f"| {name} | {mean_score} | {each['n']:,} | {each['not_applicable']:,} |")
    if found["by_place"]:
        lines += ["\n## Place in the judge's list\n", "| place | mean score | n |", "| --- | --- | --- |"]
        places = enumerate(found["by_place"], start=1)
        lines += [f"| {place} | {each['mean']:.2f} | {each['n']:,} |" for place, each in places]
        lines.append("\nOrders are drawn: a judge without regard to place has the same mean at each.")
    return "\n".join([*lines, ""])


def same_model(one: LanguageModel, other: LanguageModel) -> bool:
    """Whether two models are one and the same, as far as their names tell."""
    return (one.model, one.world) == (other.model, other.world)
