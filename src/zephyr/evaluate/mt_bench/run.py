"""MT-Bench in an `evaluate` run: answers, judgments, figures, each step from the files of the one before.

In the run directory: `mt_bench/answers/ROW.jsonl` and `mt_bench/judgments.jsonl`, both as FastChat writes them, what
the judge said of the calibration's prompts (`calibration.jsonl`), and beside each file who answered and when.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zephyr.errors import UserError
from zephyr.evaluate.asked import (
    Seen,
    models_of,
    refuse_failed,
    write_seen,
)
from zephyr.evaluate.mt_bench.figures import score
from zephyr.evaluate.mt_bench.files import (
    FAILED_CALL,
    Judgment,
    ModelAnswer,
    read_judgments,
    write_answers,
    write_judgments,
)
from zephyr.evaluate.mt_bench.judging import (
    JUDGE_TEMPERATURE,
    JudgePrompt,
    Question,
    Template,
    judge_prompt,
    parse_score,
    temperature_of,
    template_name,
)
from zephyr.evaluate.mt_bench.rows import (
    Files,
    answers_file,
    answers_of,
    judge_of,
    names_of,
    read_files,
    settings_of,
    stored_answers,
)
from zephyr.recipe.evaluate import EvaluateRecipe
from zephyr.recipe.teacher import LanguageModel
from zephyr.teacher.ask import Teacher, run_rows
from zephyr.teacher.call import Answer, Call

KEY = "benchmarks.mt_bench.max_failed_share"

__all__ = ["generate", "judge", "score"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One prompt for the judge, and whose it is."""

    model: str
    question_id: int
    turn: int
    repeat: int
    prompt: JudgePrompt


# Answers


def generate(recipe: EvaluateRecipe, run_dir: Path) -> None:
    """Every model answers; a model whose file is there is not asked.

    Raises:
        UserError: too many answers of a model failed, or stored answers lack a question.
    """
    settings = settings_of(recipe)
    files = read_files(settings)
    for name in settings.answers:
        stored_answers(settings, name, files)  # what is wrong with them is said before anything is asked
    for name, model in models_of(recipe).items():
        path = answers_file(run_dir, name)
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
                 max_tokens=settings_of(recipe).max_new_tokens, seed=recipe.seed, may_be_cut=True),
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


# Judgments


def judge(recipe: EvaluateRecipe, run_dir: Path) -> None:
    """The judge rates every turn; nothing is asked when its file is there.

    Raises:
        UserError: too many judgments of a model failed.
    """
    settings, path = settings_of(recipe), run_dir / "mt_bench" / "judgments.jsonl"
    files = read_files(settings)
    if not path.is_file():
        asked, unanswered = _prompts(recipe, run_dir, files)
        judgments, seen = _judged(recipe, run_dir, asked, label="MT-Bench: judgments")
        for each in unanswered:
            seen.fail("no answer", "the model's answer failed", model=each.model, question_id=each.question_id)
        for name in names_of(recipe):
            own = Seen(failed=[each for each in seen.failed if each["model"] == name])
            wanted = sum(each.model == name for each in asked) + sum(each.model == name for each in unanswered)
            refuse_failed(own, wanted, settings.max_failed_share, what=f"MT-Bench judgments of {name}", key=KEY,
                          folder=path.parent)  # fmt: skip
        write_seen(path.with_suffix(".json"), seen, judge_of(recipe))
        write_judgments(path, [*judgments, *unanswered])
    _calibrate(recipe, run_dir, files)


def _prompts(recipe: EvaluateRecipe, run_dir: Path, files: Files) -> tuple[list[Asked], list[Judgment]]:
    """What the judge is to be asked, and the failed judgments of turns that no answer was had for."""
    settings = settings_of(recipe)
    asked: list[Asked] = []
    unanswered: list[Judgment] = []
    turns = [(question, turn) for question in files.questions.values() for turn in range(1, len(question.turns) + 1)]
    for name in names_of(recipe):
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
        question_id=question.id, model=name, judge=judge_of(recipe).model,
        template=template_name(question.category, turn), turn=turn, user_prompt="", text=FAILED_CALL, score=None,
        time=time.time(),
    )  # fmt: skip


def _judged(
    recipe: EvaluateRecipe, run_dir: Path, asked: list[Asked], *, label: str
) -> tuple[list[Judgment], Seen]:  # fmt: skip
    model, seen, judgments = judge_of(recipe), Seen(), []

    async def work(teacher: Teacher, row: Asked) -> Any:
        call = Call(
            messages=row.prompt.messages(), temperature=JUDGE_TEMPERATURE, top_p=1.0,
            max_tokens=settings_of(recipe).judge_max_tokens, sample=row.repeat,
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
    settings, path = settings_of(recipe), run_dir / "mt_bench" / "calibration.jsonl"
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
    write_seen(path.with_suffix(".json"), seen, judge_of(recipe))
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
