import json
import re

import pytest

from tests.evaluate.conftest import TEMPLATES, judgment, lines
from zephyr.errors import UserError
from zephyr.evaluate.mt_bench.files import (
    read_answers,
    read_judgments,
    read_questions,
    read_templates,
    write_answers,
    write_judgments,
)
from zephyr.evaluate.mt_bench.judging import (
    TEMPERATURES,
    Question,
    category_of,
    judge_prompt,
    parse_score,
    temperature_of,
    template_name,
)

ESSAY = Question(id=81, category="writing", turns=("Write {x}.", "Now shorter."))
SUM = Question(id=111, category="math", turns=("2 + 2?", "Doubled?"))


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Good. Rating: [[8]]", 8),
        ("Rating: [[8.5]], not [[3]]", 8.5),
        ("[1] says so, but [[7]]", 7),  # double brackets first, wherever they stand
        ("It follows a[3] and earns [9]", 3),  # FastChat's second step takes the first number in brackets
        ("Rating: 8", None),
        ("Rating: [[eight]]", None),
        ("Rating: [[-1]]", None),
        ("$ERROR$", None),
        ("", None),
    ],
)
def test_a_score_is_read_in_two_steps(text: str, score: float | None):
    found = parse_score(text)
    assert found == score
    assert type(found) is type(score)  # FastChat writes 8, not 8.0


def test_templates_by_category_and_turn():
    assert [template_name("roleplay", 1), template_name("roleplay", 2)] == ["single-v1", "single-v1-multi-turn"]
    assert [template_name("coding", 1), template_name("coding", 2)] == ["single-math-v1", "single-math-v1-multi-turn"]
    with_reference = {name for name in TEMPERATURES if "math" in template_name(name, 1)}
    assert with_reference == {"math", "reasoning", "coding"}


def test_temperatures_and_numbering():
    found = [(category_of(number), temperature_of(category_of(number))) for number in range(85, 161, 10)]
    assert found == [
        ("writing", 0.7), ("roleplay", 0.7), ("reasoning", 0), ("math", 0), ("coding", 0), ("extraction", 0),
        ("stem", 0.1), ("humanities", 0.1),
    ]  # fmt: skip
    assert category_of(80) is None and category_of(161) is None
    assert temperature_of("cooking") == 0.7


def test_the_first_turn_is_judged_alone_and_the_second_in_its_dialogue(templates):
    told = read_templates(templates)
    first, second = (judge_prompt(ESSAY, turn, ("{a}", "b"), reference=None, templates=told) for turn in (1, 2))
    assert first.user == "[Task]\nRate it.\n[Question]\nWrite {x}.\n[Answer]\n{a}"  # braces stay what they are
    assert second.user == "U: Write {x}.\nA: {a}\nU: Now shorter.\nA: b"
    assert second.messages()[0] == {"role": "system", "content": "You are single-v1-multi-turn."}
    assert set(told) == set(TEMPLATES)  # those of pairs are left out


def test_math_is_judged_beside_its_reference(templates):
    told = read_templates(templates)
    found = judge_prompt(SUM, 2, ("5", "10"), reference=("4", "8"), templates=told)
    assert found.user.startswith("R: 4\nR: 8\n") and found.template == "single-math-v1-multi-turn"
    with pytest.raises(ValueError, match=r"question 111 \(math\) is judged beside a reference"):
        judge_prompt(SUM, 1, ("5", "10"), reference=None, templates=told)
    with pytest.raises(ValueError, match="turn 2 of 2, answered 1"):
        judge_prompt(SUM, 2, ("5",), reference=("4", "8"), templates=told)


def test_files_are_read_and_written_as_they_were(tmp_path):
    answer = {"question_id": 81, "answer_id": "abc", "model_id": "ours",
              "choices": [{"index": 0, "turns": ["Déjà vu", "b"]}], "tstamp": 1700000000.25}  # fmt: skip
    answers = lines(tmp_path / "ours.jsonl", [answer])
    judgments = lines(tmp_path / "gpt-4_single.jsonl", [judgment(81, 1, 8), judgment(81, 2, -1), judgment(82, 1, 8.5)])
    write_answers(tmp_path / "again" / "ours.jsonl", read_answers(answers).values())
    write_judgments(tmp_path / "again" / "gpt-4_single.jsonl", read_judgments(judgments))
    for file in (answers, judgments):
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()
    assert [each.score for each in read_judgments(judgments)] == [8, None, 8.5]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"turn": 3}, r"gpt-4_single.jsonl:2: `turn` is '3'. Expected 1 or 2"),
        ({"score": "8"}, r":2: `score` is '8'. Expected a number"),
        ({"score": True}, r":2: `score` is 'True'. Expected a number"),
        ({"question_id": "81"}, r":2: `question_id` is '81'. Expected a whole number"),
        ({"judge": ["gpt-4", "single-v1", "?"]}, r":2: `judge` is .*Expected"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, change, said):
    file = lines(tmp_path / "gpt-4_single.jsonl", [judgment(81, 1, 8), judgment(81, 2, 8) | change])
    with pytest.raises(UserError, match=said):
        read_judgments(file)


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(UserError, match=r"there is no such file\. Expected MT-Bench questions"):
        read_questions(tmp_path / "question.jsonl")
    (tmp_path / "question.jsonl").write_text('{"question_id": 81, "category": "writing", "turns": ["a", "b"]}\n{"ques')
    with pytest.raises(UserError, match=r"question.jsonl:2: invalid JSON"):
        read_questions(tmp_path / "question.jsonl")
    lines(tmp_path / "question.jsonl", [{"question_id": 81, "category": "writing"}])
    with pytest.raises(UserError, match=r":1: has no `turns`; its fields are question_id, category"):
        read_questions(tmp_path / "question.jsonl")


def test_stored_scores_are_parsed_again(shared):
    stored = read_judgments(shared / "mt_bench/model_judgment/gpt-4_single.jsonl")
    assert len(stored) == 800
    assert [parse_score(each.text) for each in stored] == [each.score for each in stored]


def test_stored_prompts_are_rebuilt(shared):
    """All 800. One model's answers were made anew after its first judging; those are taken from its second prompts."""
    folder = shared / "mt_bench"
    questions, told = read_questions(folder / "question.jsonl"), read_templates(folder / "judge_prompts.jsonl")
    references = read_answers(folder / "reference_answer/gpt-4.jsonl")
    stored = read_judgments(folder / "model_judgment/gpt-4_single.jsonl")
    answers = {each.model: read_answers(folder / f"model_answer/{each.model}.jsonl") for each in stored}
    of_old = [each for each in stored if each.time < answers[each.model][each.question_id].time]
    old = _answers_in(of_old, questions, references, told)
    assert len(old) == 80
    for each in stored:
        answer = answers[each.model][each.question_id]
        turns = answer.turns if each.time >= answer.time else old[each.question_id]
        reference = references.get(each.question_id)
        built = judge_prompt(questions[each.question_id], each.turn, turns, templates=told,
                             reference=reference.turns if reference else None)  # fmt: skip
        assert (built.template, built.user) == (each.template, each.user_prompt)


def _answers_in(judgments, questions, references, told) -> dict[int, tuple[str, ...]]:
    """The two answers in each second turn's prompt, which the first turn's prompt is then rebuilt from."""
    found = {}
    for each in judgments:
        if each.turn == 2:
            known = dict(zip(("question_1", "question_2"), questions[each.question_id].turns, strict=True))
            if each.question_id in references:
                known |= zip(("ref_answer_1", "ref_answer_2"), references[each.question_id].turns, strict=True)
            form = re.escape(told[each.template].text)
            for name, text in known.items():
                form = form.replace(rf"\{{{name}\}}", re.escape(text))
            form = re.sub(r"\\\{(answer_[12])\\\}", r"(?P<\1>.*)", form)
            answers = re.fullmatch(form, each.user_prompt, flags=re.DOTALL)
            found[each.question_id] = answers["answer_1"], answers["answer_2"]
    return found


def test_real_files_are_written_as_they_were(shared, tmp_path):
    folder = shared / "mt_bench"
    judgments, answers = folder / "model_judgment/gpt-4_single.jsonl", folder / "model_answer/mistral-orpo-trl.jsonl"
    write_judgments(tmp_path / "judgments", read_judgments(judgments))
    write_answers(tmp_path / "answers", read_answers(answers).values())
    assert (tmp_path / "judgments").read_bytes() == judgments.read_bytes()
    assert (tmp_path / "answers").read_bytes() == answers.read_bytes()


def test_real_questions_are_numbered_by_category(shared):
    questions = read_questions(shared / "mt_bench/question.jsonl")
    assert len(questions) == 80
    assert all(category_of(number) == each.category for number, each in questions.items())
    assert all(len(each.turns) == 2 for each in questions.values())
    assert json.loads((shared / "mt_bench/question.jsonl").read_text().splitlines()[0])["question_id"] == 81
