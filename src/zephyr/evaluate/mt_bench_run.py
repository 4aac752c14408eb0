"""MT-Bench in an `evaluate` run: answers, judgments, figures, each step from the files of the one before.

In the run directory: `mt_bench/answers/ROW.jsonl` and `mt_bench/judgments.jsonl`, both as FastChat writes them, what
the judge said of the calibration's prompts (`calibration.jsonl`), and beside each file who answered and when.
"""

import hashlib
import itertools
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from zephyr.errors import UserError
from zephyr.evaluate.asked import (
    Scored,
    Seen,
    comparison,
    file_of,
    models_of,
    read_seen,
    refuse_failed,
    row_names,
    write_seen,
)
from zephyr.evaluate.mt_bench import (
    FIRST_QUESTION,
    JUDGE_TEMPERATURE,
    N_QUESTIONS,
    WITH_REFERENCE,
    JudgePrompt,
    Question,
    Template,
    judge_prompt,
    parse_score,
    temperature_of,
    template_name,
)
from zephyr.evaluate.mt_bench_calibration import calibrate
from zephyr.evaluate.mt_bench_calibration import summary as calibration_summary
from zephyr.evaluate.mt_bench_files import (
    FAILED_CALL,
    Judgment,
    ModelAnswer,
    read_answers,
    read_judgments,
    read_questions,
    read_templates,
    write_answers,
    write_judgments,
)
from zephyr.evaluate.mt_bench_score import compare, scores, summary
from zephyr.evaluate.published import (
    MT_BENCH_JUDGE_PROMPTS,
    MT_BENCH_QUESTIONS,
    MT_BENCH_REFERENCES,
    Published,
    obtain,
    sha256_of,
)
from zephyr.evaluate.statistics import Difference
from zephyr.recipe.evaluate import EvaluateRecipe, MtBench
from zephyr.recipe.teacher import LanguageModel
from zephyr.teacher.ask import Teacher, run_rows
from zephyr.teacher.call import Answer, Call

PAPERS_JUDGE = "gpt-4"
KEY = "benchmarks.mt_bench.max_failed_share"


@dataclass(frozen=True, kw_only=True)
class Files:
    """What MT-Bench is made of."""

    questions: dict[int, Question]
    references: dict[int, ModelAnswer]
    templates: dict[str, Template]
    hashes: dict[str, str]
    """What -> SHA-256 of its file."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One prompt for the judge, and whose it is."""

    model: str
    question_id: int
    turn: int
    repeat: int
    prompt: JudgePrompt


def read_files(settings: MtBench) -> Files:
    """Questions, references and prompts, from the recipe's paths or from where they were published.

    Raises:
        UserError: one can't be had, or a question that is judged beside a reference has none.
    """
    paths = {
        "questions": _path(settings.questions, MT_BENCH_QUESTIONS),
        "references": _path(settings.references, MT_BENCH_REFERENCES),
        "prompts": _path(settings.prompts, MT_BENCH_JUDGE_PROMPTS),
    }
    files = Files(
        questions=read_questions(paths["questions"]),
        references=read_answers(paths["references"]),
        templates=read_templates(paths["prompts"]),
        hashes={what: sha256_of(path) for what, path in paths.items()},
    )
    for question in files.questions.values():
        found = files.references.get(question.id)
        if question.category in WITH_REFERENCE and (found is None or len(found.turns) < len(question.turns)):
            raise UserError(
                f"{paths['references']}: holds no reference answer to question {question.id} ({question.category}), "
                f"which is judged beside one.\nExpected one, turn by turn, to each question of "
                f"{', '.join(WITH_REFERENCE)} in {paths['questions']}."
            )
    needed = {template_name(each.category, turn) for each in files.questions.values() for turn in (1, 2)}
    if lacking := sorted(needed - set(files.templates)):
        raise UserError(f"{paths['prompts']}: lacks the judge's prompts {', '.join(lacking)}.")
    return files


def _path(given: str | None, published: Published) -> Path:
    return Path(given) if given is not None else obtain(published)


# Answers


def generate(recipe: EvaluateRecipe, run_dir: Path) -> None:
    """Every model answers; a model whose file is there is not asked.

    Raises:
        UserError: too many answers of a model failed, or stored answers lack a question.
    """
    settings = _settings(recipe)
    files = read_files(settings)
    for name in settings.answers:
        stored_answers(settings, name, files)  # what is wrong with them is said before anything is asked
    for name, model in models_of(recipe).items():
        path = _answers_file(run_dir, name)
        if name in settings.answers or path.is_file():
            continue
        seen, answers = Seen(), []
        rows = list(files.questions.values())
        for _, (question, dialogue) in run_rows(
            rows, lambda teacher, row, model=model: _dialogue(teacher, model, row, recipe),  # type: ignore[misc]
            models={name: model}, budget=recipe.budget, folder=run_dir, n_rows=len(rows),
            label=f"MT-Bench: answers of {name}",
        ):  # fmt: skip
            turns = _said(seen, question, dialogue)
            if turns is not None:
                answers.append(_model_answer(name, question.id, turns))
        refuse_failed(seen, len(rows), settings.max_failed_share, what=f"answers of {name} to MT-Bench", key=KEY,
                      folder=run_dir / "mt_bench")  # fmt: skip
        write_seen(path.with_suffix(".json"), seen, model)
        write_answers(path, answers)


async def _dialogue(
    teacher: Teacher, model: LanguageModel, question: Question, recipe: EvaluateRecipe
) -> tuple[Question, list[Any]]:
    """Turn by turn, the model seeing its own answers."""
    messages: list[dict[str, str]] = []
    found: list[Any] = []
    for text in question.turns:
        messages.append({"role": "user", "content": text})
        answer = await teacher.ask(
            model,
            Call(messages=tuple(messages), temperature=temperature_of(question.category), top_p=1.0,
                 max_tokens=_settings(recipe).max_new_tokens, seed=recipe.seed, may_be_cut=True),
        )  # fmt: skip
        found.append(answer)
        if not isinstance(answer, Answer) and answer.reason != "empty":
            break
        messages.append({"role": "assistant", "content": answer.text.strip() if isinstance(answer, Answer) else ""})
    return question, found


def _said(seen: Seen, question: Question, dialogue: list[Any]) -> tuple[str, ...] | None:
    """The turns; None where a call failed. An answer without text is an answer, as it is for FastChat."""
    turns = []
    for turn, each in enumerate(dialogue, start=1):
        seen.add(each)
        if isinstance(each, Answer):
            turns.append(each.text.strip())
        elif each.reason == "empty":
            seen.n_empty += 1
            turns.append("")
        else:
            seen.fail(each.reason, each.detail, question_id=question.id, turn=turn)
            return None
    return tuple(turns)


def _model_answer(name: str, question_id: int, turns: tuple[str, ...]) -> ModelAnswer:
    id = hashlib.sha256("\0".join([name, str(question_id), *turns]).encode("utf-8", "surrogatepass")).hexdigest()[:22]
    return ModelAnswer(question_id=question_id, model=name, turns=turns, answer_id=id, time=time.time())


def stored_answers(settings: MtBench, name: str, files: Files) -> dict[int, ModelAnswer]:
    """Answers that others made.

    Raises:
        UserError: a question is not answered, or not all its turns.
    """
    path = Path(settings.answers[name])
    found = read_answers(path)
    lacking = [
        each.id
        for each in files.questions.values()
        if each.id not in found or len(found[each.id].turns) < len(each.turns)
    ]
    if lacking:
        raise UserError(
            f"{path}: does not answer {len(lacking)} of {len(files.questions)} questions in all their turns, "
            f"the first of them {lacking[0]}."
        )
    return found


# Judgments


def judge(recipe: EvaluateRecipe, run_dir: Path) -> None:
    """The judge rates every turn; nothing is asked when its file is there.

    Raises:
        UserError: too many judgments of a model failed.
    """
    settings, path = _settings(recipe), run_dir / "mt_bench" / "judgments.jsonl"
    files = read_files(settings)
    if not path.is_file():
        asked, unanswered = _prompts(recipe, run_dir, files)
        judgments, seen = _judged(recipe, run_dir, asked, label="MT-Bench: judgments")
        for each in unanswered:
            seen.fail("no answer", "the model's answer failed", model=each.model, question_id=each.question_id)
        for name in _names(recipe):
            own = Seen(failed=[each for each in seen.failed if each["model"] == name])
            wanted = sum(each.model == name for each in asked) + sum(each.model == name for each in unanswered)
            refuse_failed(own, wanted, settings.max_failed_share, what=f"MT-Bench judgments of {name}", key=KEY,
                          folder=path.parent)  # fmt: skip
        write_seen(path.with_suffix(".json"), seen, _judge(recipe))
        write_judgments(path, [*judgments, *unanswered])
    _calibrate(recipe, run_dir, files)


def _prompts(recipe: EvaluateRecipe, run_dir: Path, files: Files) -> tuple[list[Asked], list[Judgment]]:
    """What the judge is to be asked, and the failed judgments of turns that no answer was had for."""
    settings = _settings(recipe)
    asked: list[Asked] = []
    unanswered: list[Judgment] = []
    turns = [(question, turn) for question in files.questions.values() for turn in range(1, len(question.turns) + 1)]
    for name in _names(recipe):
        answers = answers_of(recipe, run_dir, name, files)
        for question, turn in turns:
            if question.id not in answers:
                unanswered.append(_no_judgment(recipe, name, question, turn))
                continue
            reference = files.references.get(question.id)
            prompt = judge_prompt(
                question, turn, answers[question.id].turns, reference=reference.turns if reference else None,
                templates=files.templates,
            )  # fmt: skip
            asked += [
                Asked(model=name, question_id=question.id, turn=turn, repeat=repeat, prompt=prompt)
                for repeat in range(settings.repeats)
            ]
    return asked, unanswered


def _no_judgment(recipe: EvaluateRecipe, name: str, question: Question, turn: int) -> Judgment:
    return Judgment(
        question_id=question.id, model=name, judge=_judge(recipe).model,
        template=template_name(question.category, turn), turn=turn, user_prompt="", text=FAILED_CALL, score=None,
        time=time.time(),
    )  # fmt: skip


def answers_of(recipe: EvaluateRecipe, run_dir: Path, name: str, files: Files) -> dict[int, ModelAnswer]:
    """A row's answers: those stored by others, or those that this run generated."""
    settings = _settings(recipe)
    if name in settings.answers:
        return stored_answers(settings, name, files)
    return read_answers(_answers_file(run_dir, name))


def _judged(
    recipe: EvaluateRecipe, run_dir: Path, asked: list[Asked], *, label: str
) -> tuple[list[Judgment], Seen]:  # fmt: skip
    model, seen, judgments = _judge(recipe), Seen(), []

    async def work(teacher: Teacher, row: Asked) -> Any:
        call = Call(
            messages=row.prompt.messages(), temperature=JUDGE_TEMPERATURE, top_p=1.0,
            max_tokens=_settings(recipe).judge_max_tokens, sample=row.repeat,
        )  # fmt: skip
        return await teacher.ask(model, call)

    results = run_rows(asked, work, models={"judge": model}, budget=recipe.budget, folder=run_dir,
                       n_rows=len(asked), label=label)  # fmt: skip
    for n, found in results:
        row = asked[n]
        seen.add(found)
        where = {"model": row.model, "question_id": row.question_id, "turn": row.turn}
        score = parse_score(found.text) if isinstance(found, Answer) else None
        if not isinstance(found, Answer):
            seen.fail(found.reason, found.detail, **where)
        elif score is None:
            seen.fail("no rating in it", found.text[:300], **where)
        judgments.append(
            Judgment(
                question_id=row.question_id, model=row.model, judge=model.model, template=row.prompt.template,
                turn=row.turn, user_prompt=row.prompt.user, score=score,
                text=found.text if isinstance(found, Answer) else FAILED_CALL,
                time=_when(found) + row.repeat / 1000,  # equal judgments of one second are not one judgment
            )
        )  # fmt: skip
    return judgments, seen


def _when(found: Any) -> float:
    return (found.created if isinstance(found, Answer) else None) or time.time()


def _calibrate(recipe: EvaluateRecipe, run_dir: Path, files: Files) -> None:
    """The judge rates what has a known rating."""
    settings, path = _settings(recipe), run_dir / "mt_bench" / "calibration.jsonl"
    if settings.calibration is None or path.is_file():
        return
    known = {(each.model, each.question_id, each.turn, each.user_prompt): each
             for each in read_judgments(Path(settings.calibration)) if each.score is not None}  # fmt: skip
    asked = [
        Asked(model=each.model, question_id=each.question_id, turn=each.turn, repeat=0,
              prompt=_stored_prompt(each, files.templates, settings.calibration))
        for each in known.values()
    ]  # fmt: skip
    judgments, seen = _judged(recipe, run_dir, asked, label="MT-Bench: calibration")
    write_seen(path.with_suffix(".json"), seen, _judge(recipe))
    write_judgments(path, judgments)


def _stored_prompt(judgment: Judgment, templates: Mapping[str, Template], file: str) -> JudgePrompt:
    if judgment.template not in templates or not judgment.user_prompt:
        raise UserError(
            f"{file}: a judgment (question {judgment.question_id}, turn {judgment.turn}) keeps no prompt or names an "
            f"unknown one ({judgment.template or 'none'}), so it can't be judged again.\n"
            "Expected FastChat's model_judgment/JUDGE_single.jsonl."
        )
    system = templates[judgment.template].system
    return JudgePrompt(template=judgment.template, system=system, user=judgment.user_prompt)


# Figures


def score(recipe: EvaluateRecipe, run_dir: Path) -> Scored:
    """Figures from the files alone."""
    settings, folder = _settings(recipe), run_dir / "mt_bench"
    files = read_files(settings)
    judgments = read_judgments(folder / "judgments.jsonl")
    ours = set(range(FIRST_QUESTION, FIRST_QUESTION + N_QUESTIONS))
    own = set(files.questions) != ours
    categories = {each.id: each.category for each in files.questions.values()} if own else None
    found = {each.model: each for each in scores(judgments, categories)}
    names = [name for name in _names(recipe) if name in found]
    compared = [(a, b, compare(found[a], found[b])) for a, b in itertools.combinations(names, 2)]
    judging = read_seen(folder / "judgments.json")
    if settings.calibration is not None:
        again = calibrate(read_judgments(Path(settings.calibration)), read_judgments(folder / "calibration.jsonl"))
        judging["calibration"] = calibration_summary(again) if again else None
    return Scored(
        scores={name: summary(found[name]) | _cut(run_dir, name) for name in names},
        comparisons=[comparison("mt_bench", a, b, each) for a, b, each in compared if isinstance(each, Difference)],
        rows=list(_rows(recipe, run_dir, files, judgments)),
        warnings=[*_marks(recipe, judging), *(note for name in names for note in _failures(name, found[name]))],
        judging=judging,
        provenance={"files": files.hashes, "answers": {k: sha256_of(Path(v)) for k, v in settings.answers.items()}},
    )


def _cut(run_dir: Path, name: str) -> dict[str, Any]:
    seen = read_seen(_answers_file(run_dir, name).with_suffix(".json"))
    return {"n_unfinished": seen["n_cut"], "n_empty": seen["n_empty"]} if seen else {}


def _failures(name: str, found: Any) -> list[str]:
    if not found.n_failed:
        return []
    n = found.n + found.n_failed
    return [f"MT-Bench, {name}: {found.n_failed} of {n} judgments failed; they are in no mean"]


def _marks(recipe: EvaluateRecipe, judging: dict[str, Any]) -> list[str]:
    judge = _judge(recipe)
    if judge.model == PAPERS_JUDGE:
        return []
    said = f"MT-Bench was judged by {judge.model}, not by the paper's {PAPERS_JUDGE}: these scores are on another scale"
    found = judging.get("calibration")
    if not found:
        return [f"{said}, and no calibration says how far off (`benchmarks.mt_bench.calibration`)"]
    return [
        f"{said}. On {found['n']} turns with known ratings by {found['known_judge']} it gives {found['offset']:+.2f} "
        f"points, the same rating in {found['same']:.0%} of them"
    ]


def _rows(
    recipe: EvaluateRecipe, run_dir: Path, files: Files, judgments: Iterable[Judgment]
) -> Iterable[dict[str, Any]]:  # fmt: skip
    ratings: dict[tuple[str, int, int], list[float]] = {}
    for each in judgments:
        given = ratings.setdefault((each.model, each.question_id, each.turn), [])
        given += [] if each.score is None else [each.score]
    for name in _names(recipe):
        for id, answer in answers_of(recipe, run_dir, name, files).items():
            if id not in files.questions:
                continue
            question = files.questions[id]
            turns = [mean(found) if (found := ratings.get((name, id, turn))) else None for turn in (1, 2)]
            rated = [each for each in turns if each is not None]
            said = [{"role": role, "content": text}
                    for asked, answered in zip(question.turns, answer.turns, strict=False)
                    for role, text in (("user", asked), ("assistant", answered))]  # fmt: skip
            yield {
                "model": name, "benchmark": "mt_bench", "id": str(id), "category": question.category, "turns": said,
                "score": mean(rated) if len(rated) == len(question.turns) else None, "turn_scores": turns,
            }  # fmt: skip


def _names(recipe: EvaluateRecipe) -> list[str]:
    return row_names(list(models_of(recipe)), _settings(recipe).answers)


def _answers_file(run_dir: Path, name: str) -> Path:
    return file_of(run_dir / "mt_bench" / "answers", name, ".jsonl")


def _settings(recipe: EvaluateRecipe) -> MtBench:
    assert recipe.benchmarks.mt_bench is not None
    return recipe.benchmarks.mt_bench


def _judge(recipe: EvaluateRecipe) -> LanguageModel:
    assert recipe.judge is not None  # checked when the recipe was read
    return recipe.judge
