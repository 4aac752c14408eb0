"""How a benchmark's scores are to be read, and what must be said beside them."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How to read a benchmark's score."""

    title: str
    best: float
    worst: float
    unit: str
    caution: str = ""
    """What must be said wherever its scores are shown."""
    aspects: str = ""
    """How to read the judge's aspects."""
    what: str = "questions"
    """What is counted, in the plural."""
    drawn: str = "questions"
    """What intervals are over, in the plural."""


WORLD_CAUTION = (
    "What dDPO gains in the mini world is behaviour that the world put in, not knowledge. The world's recipe gave its "
    "scripted teacher bad habits; dSFT copies them, and the preference pairs mark them down. That a teacher's "
    "dialogues carry such habits is an assumption, after what the paper says of UltraChat."
)
SCALES = {
    "world": Scale(
        title="the mini world's held-out dialogues",
        what="dialogues",
        drawn="dialogues",
        worst=1,
        best=10,
        unit="points, 1 to 10",
        caution=WORLD_CAUTION,
        aspects="Means over turns; each aspect goes from 1 to 5, and their mean, stretched to 1 to 10, is the score.",
    ),
    "world_win_rate": Scale(
        title="win rates in the mini world",
        worst=0,
        best=100,
        unit="% won against the baseline",
        what="dialogues",
        drawn="dialogues",
    ),
    "world_facts": Scale(title="the mini world's held-out facts, acc_norm", worst=0, best=100, unit="% right"),
    "mt_bench": Scale(title="MT-Bench", worst=1, best=10, unit="points, 1 to 10", what="ratings of a turn"),
    "alpaca_eval": Scale(
        title="AlpacaEval", worst=0, best=100, unit="% won against the baseline", what="pairs", drawn="pairs"
    ),
    "arc": Scale(title="ARC Challenge, 25 shots", worst=0, best=100, unit="% right"),
    "hellaswag": Scale(title="HellaSwag, 10 shots", worst=0, best=100, unit="% right"),
    "mmlu": Scale(title="MMLU, 5 shots, mean of subjects", worst=0, best=100, unit="% right"),
    "truthfulqa": Scale(title="TruthfulQA, mc2", worst=0, best=100, unit="% of probability on true answers"),
}
HOW_TO_READ = (
    "n: {what} with a score. Failed: {what} without one; they are counted here and never scored as zero. "
    "Intervals are 95 %, over the {drawn} of this one run: training again with another seed moves a score too, and "
    "that is not in them."
)
HOW_TO_READ_DIFFERENCES = (
    "Both models answered the same {drawn}; the difference is taken one by one. "
    "Not separable: the interval includes zero, so this run does not show which model is better."
)
HOW_TO_READ_LENGTH = "Length: mean characters of an answer; judges tend to prefer the longer one."
HOW_TO_READ_WINS = (
    "Won: {what}, in percent, in which the judge gives the model more than the baseline, one of the world's scripted "
    "teachers, who answers the same prompts; a draw is a half."
)
HOW_TO_READ_WINS_OF_SEEDS = "Rates are means over seeds, wins, losses and draws are of all of them."
HOW_TO_READ_SEEDS = (
    "n: seeds, each with its own chain of runs. Failed: dialogues without a score, in all of them. Scores are means "
    "over seeds, intervals 95 % by Student's t over seeds."
)
HOW_TO_READ_SEED_DIFFERENCES = (
    "Each seed's difference is taken between its own models on the same dialogues; the interval is over the seeds. "
    "Not separable: the interval includes zero, so these seeds do not show which model is better."
)
SHARES = {
    "correct": (
        "right",
        "Right: turns in which the fact asked for was given and nothing false was said, whatever the manners.",
    ),
    "boilerplate": ("boilerplate", "Boilerplate: turns with an empty phrase."),
}
"""Shares that a benchmark may count beside its score: column, and what it means."""


def scale_of(benchmark: str) -> Scale | None:
    """How to read a benchmark's score, where it is known."""
    return SCALES.get(benchmark)


def name_of(benchmark: str) -> str:
    """The benchmark in words."""
    scale = scale_of(benchmark)
    return scale.title if scale else benchmark


def counted(text: str, benchmark: str) -> str:
    """The text with what the benchmark counts and draws put in."""
    scale = scale_of(benchmark) or Scale(title=benchmark, best=1, worst=0, unit="")
    return text.format(what=scale.what, drawn=scale.drawn)
