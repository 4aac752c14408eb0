"""What MT-Bench is made of in an `evaluate` run: the published files, the rows, their answers."""

from dataclasses import dataclass
from pathlib import Path

from zephyr.errors import UserError
from zephyr.evaluate.asked import (
    file_of,
    models_of,
    row_names,
)
from zephyr.evaluate.mt_bench.files import (
    ModelAnswer,
    read_answers,
    read_questions,
    read_templates,
)
from zephyr.evaluate.mt_bench.judging import (
    WITH_REFERENCE,
    Question,
    Template,
    template_name,
)
from zephyr.evaluate.published import (
    MT_BENCH_JUDGE_PROMPTS,
    MT_BENCH_QUESTIONS,
    MT_BENCH_REFERENCES,
    Published,
    obtain,
    sha256_of,
)
from zephyr.recipe.evaluate import EvaluateRecipe, MtBench
from zephyr.recipe.teacher import LanguageModel


@dataclass(frozen=True, kw_only=True)
class Files:
    """What MT-Bench is made of."""

    questions: dict[int, Question]
    references: dict[int, ModelAnswer]
    templates: dict[str, Template]
    hashes: dict[str, str]
    """What -> SHA-256 of its file."""


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


def answers_of(recipe: EvaluateRecipe, run_dir: Path, name: str, files: Files) -> dict[int, ModelAnswer]:
    """A row's answers: those stored by others, or those that this run generated."""
    settings = settings_of(recipe)
    if name in settings.answers:
        return stored_answers(settings, name, files)
    return read_answers(answers_file(run_dir, name))


def names_of(recipe: EvaluateRecipe) -> list[str]:
    """Rows of the tables, in their order."""
    return row_names(list(models_of(recipe)), settings_of(recipe).answers)


def answers_file(run_dir: Path, name: str) -> Path:
    """Where a row's generated answers are."""
    return file_of(run_dir / "mt_bench" / "answers", name, ".jsonl")


def settings_of(recipe: EvaluateRecipe) -> MtBench:
    """The recipe's section, which is there."""
    assert recipe.benchmarks.mt_bench is not None
    return recipe.benchmarks.mt_bench


def judge_of(recipe: EvaluateRecipe) -> LanguageModel:
    """The recipe's judge, which is there."""
    assert recipe.judge is not None  # checked when the recipe was read
    return recipe.judge
