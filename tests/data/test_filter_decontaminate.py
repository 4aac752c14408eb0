"""Benchmark questions: every planted copy is found, and what only looks like one is kept."""

import json
from pathlib import Path

import pytest

from zephyr.data.filter.decontaminate import contaminated, in_text
from zephyr.data.filter.questions import Index, build_index
from zephyr.errors import UserError
from zephyr.recipe.filter import Decontaminate, Questions

QUESTIONS = [
    "How many days would a red balloon need to cross the wide desert at noon?",
    "Which river flows past the old mill near the northern gate of the city?",
    "Why do green apples float while ripe pears sink in cold water?",
    "Who sings?",
    "What is the capital of Atlantis?",
]
FILLER = "We spoke of gardens for an hour, and the tea was good. "


@pytest.fixture
def settings(tmp_path: Path) -> Decontaminate:
    file = tmp_path / "quiz.jsonl"
    file.write_text("".join(json.dumps({"question": each}) + "\n" for each in QUESTIONS))
    return Decontaminate(benchmarks={"quiz": Questions(path=str(file))})


@pytest.fixture
def index(settings: Decontaminate) -> Index:
    return build_index(settings, seed=1)


def how(text: str, settings: Decontaminate, index: Index) -> str | None:
    found = in_text(text, settings, index)
    return found.reason if found else None


@pytest.mark.parametrize("question", QUESTIONS)
def test_exact_copies_whatever_case_and_punctuation(question: str, settings: Decontaminate, index: Index):
    for copy in (
        question,
        question.upper(),
        question.lower().rstrip("?"),
        question.replace(" ", "  ") + "!!",
        f"**{question}**",
    ):
        assert how(copy, settings, index) == "quiz: exact", copy


@pytest.mark.parametrize("question", [each for each in QUESTIONS if each != "Who sings?"])
def test_copies_inside_a_text(question: str, settings: Decontaminate, index: Index):
    assert how(f"{FILLER * 20}{question} {FILLER * 20}", settings, index) == "quiz: exact"
    if len(question.split()) >= 6:
        inside = f"{FILLER}So tell me {question.rstrip('?').lower()} if you can."
        assert how(inside, settings, index) == "quiz: embedded"


@pytest.mark.parametrize(
    "copy",
    [
        "How many days would a blue balloon need to cross the wide desert at noon?",
        "How many days would a red balloon need to cross a wide desert at about noon?",
        "Which river flows past the old mill by the northern gate of a city?",
        "Tell me: why do green apples float, while ripe pears will sink in cold water?",
    ],
)
def test_near_copies(copy: str, settings: Decontaminate, index: Index):
    assert how(copy, settings, index) == "quiz: near"
    assert how(FILLER * 10 + copy + FILLER * 10, settings, index) == "quiz: near"


@pytest.mark.parametrize(
    "other",
    [
        "How many days would a tired camel need to reach the small village at dusk?",
        "What is the capital of Portugal?",
        "Ripe pears sink. Green apples float in cold water, as you saw yesterday at the well.",
        "The choir of those who sing",
        "Who sings in the choir, and who sings at home?",
        "",
        "?!",
    ],
)
def test_others_are_kept(other: str, settings: Decontaminate, index: Index):
    assert how(other, settings, index) is None


def test_which_turns(settings: Decontaminate, index: Index):
    messages = [{"role": "user", "content": "Ask me"}, {"role": "assistant", "content": QUESTIONS[0]}]
    assert contaminated(messages, settings, index)
    only_user = Decontaminate(benchmarks=settings.benchmarks, turns="user")
    assert contaminated(messages, only_user, index) is None


def test_benchmarks_as_they_are_published(tmp_path: Path):
    files = {
        "mt_bench.jsonl": json.dumps({"question_id": 1, "turns": ["First of two turns?", "Second of two turns?"]}),
        "alpaca.json": json.dumps([{"instruction": "Third as an instruction", "output": "x"}]),
        "arc.jsonl": json.dumps({"question": {"stem": "Fourth is a stem?", "choices": []}}),
        "mmlu.csv": '"Fifth, in a file without heading?",a,b,c,d,A\n',
        "other.jsonl": json.dumps({"query": "Sixth under another name?"}),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")
    more = {"mmlu.csv": {"heading": False}, "other.jsonl": {"columns": {"question": "query"}}}
    sources = {name: Questions(path=str(tmp_path / name), **more.get(name, {})) for name in files}  # type: ignore[arg-type]
    index = build_index(Decontaminate(benchmarks=sources), seed=1)
    assert [each.text.split()[0] for each in index.questions] == [
        "First", "Second", "Third", "Fourth", "Fifth,", "Sixth",
    ]  # fmt: skip


def test_a_benchmark_without_questions_is_refused(tmp_path: Path):
    (tmp_path / "x.jsonl").write_text('{"a": "b"}\n')
    with pytest.raises(UserError, match=r"columns: \{question: a\}"):
        build_index(Decontaminate(benchmarks={"x": Questions(path=str(tmp_path / "x.jsonl"))}), seed=1)


def test_real_feedback_has_no_truthfulqa(shared: Path):
    """The published sample was cleaned of TruthfulQA's questions: none is found, so none is found wrongly either."""
    truthful = Questions(path=str(shared / "benchmarks/truthfulqa_mc_task.json"))
    settings = Decontaminate(benchmarks={"truthfulqa": truthful})
    index = build_index(settings, seed=1)
    with (shared / "ultrafeedback/train.jsonl").open() as lines:
        prompts = [json.loads(line)["prompt"] for line in lines]
    assert len(index.questions) > 800 and len(prompts) == 1000
    assert [each for each in prompts if in_text(each, settings, index)] == []
