"""The label report for a reader: Markdown from its figures, and nothing that is not in them."""

from collections.abc import Iterable, Sequence
from typing import Any


def label_page(figures: dict[str, Any], title: str) -> str:
    """The report as Markdown."""
    parts = [f"# Label report: {title}\n"]
    for name, heading, rows in (
        ("pairs", "Pairs", _pair_rows),
        ("answers", "Scored answers", _answer_rows),
        ("agreement", "Agreement of repeated judgments", _agreement_rows),
    ):
        if name in figures:
            parts.append(f"## {heading}\n\n{_table(('', 'figure', 'n'), rows(figures[name]))}")
    if "gaps" in figures.get("pairs", {}):
        gaps = figures["pairs"]["gaps"]
        parts.append(_counts("Difference of the scores", gaps, "difference"))
    if figures.get("models"):
        parts.append(f"## Models\n\n{_table(MODEL_COLUMNS, _model_rows(figures['models']))}")
    parts.append(_counts("Suspicious values", figures.get("suspicious", {}), "what"))
    if "dropped" in figures:
        parts.append(_counts("Dropped", figures["dropped"], "reason"))
    parts.append(NOTES)
    return "\n".join(parts)


NOTES = """\
Lengths are in characters. Shares are with Wilson's 95 % interval, those of agreement with one over prompts;
correlations are Spearman's. "The longer wins" leaves out pairs of equal length and of equal scores; "the longer is
chosen" leaves out only the former.
"""
MODEL_COLUMNS = ("model", "answers", "mean score", "mean characters", "chosen", "rejected")


def _pair_rows(pairs: dict[str, Any]) -> Iterable[Sequence[str]]:
    yield "pairs", f"{pairs['n']:,}", ""
    if "ties" in pairs:
        yield "equal scores", *_share(pairs["ties"])
        yield "chosen scored lower than rejected", f"{pairs['inverted']:,}", f"{pairs['n_scored']:,}"
        yield "difference of the scores", _summary(pairs["gap"], 2), f"{pairs['n_scored']:,}"
    yield "characters of the chosen", _summary(pairs["chosen_characters"]), f"{pairs['n']:,}"
    yield "characters of the rejected", _summary(pairs["rejected_characters"]), f"{pairs['n']:,}"
    if "median_length_ratio" in pairs:
        yield "chosen / rejected, median length", f"{pairs['median_length_ratio']:.2f}", ""
    yield "the longer wins", *_share(pairs["longer_wins"])
    yield "the longer is chosen", *_share(pairs["longer_is_chosen"])


def _answer_rows(answers: dict[str, Any]) -> Iterable[Sequence[str]]:
    yield "score", _summary(answers["score"], 2), f"{answers['n']:,}"
    yield "characters", _summary(answers["characters"]), f"{answers['n']:,}"
    yield "score and length, correlation", *_number(answers["score_length_spearman"])
    yield "the same within a prompt, mean", *_number(answers["score_length_spearman_within_prompts"])


def _agreement_rows(found: dict[str, Any]) -> Iterable[Sequence[str]]:
    yield "answers judged more than once", f"{found['n_answers']:,}", f"{found['n_prompts']:,} prompts"
    yield "all judgments of an answer equal", *_share(found["all_equal"])
    yield "two judgments equal", *_share(found["two_equal"])
    yield "two judgments within one point", *_share(found["two_within_one"])
    yield "difference of two judgments, mean", f"{found['mean_difference']:.2f}", ""
    if found["reliability"] is not None:
        yield "reliability of one judgment, ICC(1)", f"{found['reliability']:.2f}", ""
    yield "two judgments put two answers in the same order, where both decide", *_share(found["same_order"])
    yield "one or both judgments have the two answers equal", *_share(found["order_undecided"])
    yield "two judgments have the same best answer, where both have one", *_share(found["same_best"])
    yield "one or both judgments have several best", *_share(found["best_undecided"])


def _model_rows(models: dict[str, Any]) -> Iterable[Sequence[str]]:
    for name, each in models.items():
        means = [f"{each['score']:.2f}", f"{each['characters']:,.0f}"] if "score" in each else ["", ""]
        yield name, f"{each['answers']:,}", *means, f"{each['chosen']:,}", f"{each['rejected']:,}"


def _share(share: dict[str, float]) -> tuple[str, str]:
    if "value" not in share:
        return "none", "0"
    interval = f" ({share['low']:.1%} to {share['high']:.1%})" if "low" in share else ""
    return f"{share['value']:.1%}{interval}", f"{share['n']:,}"


def _number(number: dict[str, float]) -> tuple[str, str]:
    if "value" not in number:
        return "not defined", f"{number['n']:,}"
    interval = f" ({number['low']:.2f} to {number['high']:.2f})" if "low" in number else ""
    return f"{number['value']:.2f}{interval}", f"{number['n']:,}"


def _summary(summary: dict[str, float], places: int = 0) -> str:
    names = (("mean", "mean"), ("median", "median"), ("p10", "10 %"), ("p90", "90 %"))
    return ", ".join(f"{shown} {summary[name]:,.{places}f}" for name, shown in names)


def _counts(heading: str, counts: dict[str, int], what: str) -> str:
    if not counts:
        return f"## {heading}\n\nNone.\n"
    return f"## {heading}\n\n{_table((what, 'n'), ((name, f'{n:,}') for name, n in counts.items()))}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in cells)
