"""AlpacaEval in an `evaluate` run: answers, judged pairs, figures, each step from the files of the one before.

In the run directory: `alpaca_eval/outputs/ROW.json` and `alpaca_eval/annotations.json`, both as AlpacaEval writes them,
the pairs of the calibration judged again (`calibration.json`), and beside each file who answered and when.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zephyr.errors import UserError
from zephyr.evaluate.alpaca_eval.figures import score
from zephyr.evaluate.alpaca_eval.files import (
    Annotation,
    Output,
    pairs,
    read_annotations,
    read_outputs,
    write_annotations,
    write_outputs,
)
from zephyr.evaluate.alpaca_eval.judging import (
    DRAW,
    N_LOGPROBS,
    Protocol,
    as_seen,
    is_switched,
    messages,
    parse_logprobs,
    parse_ranking,
)
from zephyr.evaluate.alpaca_eval.rows import (
    Files,
    annotator,
    judge_of,
    known_file,
    outputs_file,
    outputs_of,
    protocol_of,
    read_files,
    settings_of,
)
from zephyr.evaluate.asked import (
    Seen,
    models_of,
    refuse_failed,
    row_names,
    write_seen,
)
from zephyr.recipe.evaluate import EvaluateRecipe
from zephyr.recipe.teacher import LanguageModel
from zephyr.teacher.ask import Teacher, run_rows
from zephyr.teacher.call import Answer, Call

KEY = "benchmarks.alpaca_eval.max_failed_share"

__all__ = ["generate", "judge", "score"]


# Answers


def generate(recipe: EvaluateRecipe, run_dir: Path) -> None:
    """Every model answers the instructions; a model whose file is there is not asked.

    Raises:
        UserError: too many answers of a model failed, or stored answers lack an instruction.
    """
    settings = settings_of(recipe)
    files = read_files(settings)
    for stored in settings.answers.values():
        pairs(files.baseline, read_outputs(Path(stored)))  # what is wrong with them is said before anything is asked
    for name, model in models_of(recipe).items():
        path = outputs_file(run_dir, name)
        if name in settings.answers or path.is_file():
            continue
        seen, outputs = Seen(), []
        results = run_rows(
            files.baseline, lambda teacher, row, model=model: _answer(teacher, model, row, recipe),  # type: ignore[misc]
            models={name: model}, budget=recipe.budget, folder=run_dir, n_rows=len(files.baseline),
            label=f"AlpacaEval: answers of {name}",
        )  # fmt: skip
        for n, found in results:
            seen.add(found)
            asked, text = files.baseline[n], ""
            if isinstance(found, Answer):
                text = found.text.strip()
            elif found.reason == "empty":
                seen.n_empty += 1
            else:
                seen.fail(found.reason, found.detail, instruction=asked.instruction)
                continue
            outputs.append(
                Output(instruction=asked.instruction, output=text, generator=name, dataset=asked.dataset)
            )  # fmt: skip
        refuse_failed(seen, len(files.baseline), settings.max_failed_share, what=f"answers of {name} to AlpacaEval",
                      key=KEY, folder=run_dir / "alpaca_eval")  # fmt: skip
        write_seen(path.with_suffix(".seen.json"), seen, model)
        write_outputs(path, outputs)


async def _answer(teacher: Teacher, model: LanguageModel, asked: Output, recipe: EvaluateRecipe) -> Any:
    settings = settings_of(recipe)
    call = Call(
        messages=({"role": "user", "content": asked.instruction},), temperature=settings.temperature, top_p=1.0,
        max_tokens=settings.max_new_tokens, seed=recipe.seed, may_be_cut=True,
    )  # fmt: skip
    return await teacher.ask(model, call)


# Judgments


def judge(recipe: EvaluateRecipe, run_dir: Path) -> None:
    """The judge compares every pair; nothing is asked when its file is there.

    Raises:
        UserError: too many judgments of a model failed, or version 2 is asked for and the server has no
            log-probabilities.
    """
    settings, path = settings_of(recipe), run_dir / "alpaca_eval" / "annotations.json"
    files = read_files(settings)
    if not path.is_file():
        annotations, seen = [], Seen()
        for name in row_names(list(models_of(recipe)), settings.answers):
            asked, unanswered = _pairs(files, outputs_of(recipe, run_dir, name), name)
            found, own = _annotated(recipe, run_dir, asked, files, label=f"AlpacaEval: judgments of {name}")
            for each in unanswered:
                own.fail("no answer", "the model's answer failed", instruction=each.instruction)
            refuse_failed(own, len(files.baseline), settings.max_failed_share,
                          what=f"AlpacaEval judgments of {name}", key=KEY, folder=path.parent)  # fmt: skip
            annotations += [*found, *(_failed(each, name, recipe, files) for each in unanswered)]
            _add(seen, own, name)
        write_seen(path.with_suffix(".seen.json"), seen, judge_of(recipe))
        write_annotations(path, annotations)
    _calibrate(recipe, run_dir, files)


def _add(seen: Seen, own: Seen, name: str) -> None:
    seen.n += own.n
    seen.served.update(own.served)
    seen.created += own.created
    seen.failed += [{"model": name, **each} for each in own.failed]


def _pairs(
    files: Files, outputs: list[Output], name: str
) -> tuple[list[tuple[Output, Output]], list[Output]]:  # fmt: skip
    """(baseline, model) to be judged, the model under its row's name; and the instructions without an answer."""
    answers = {each.instruction: each.output for each in outputs}
    asked = [
        (each, Output(instruction=each.instruction, output=answers[each.instruction], generator=name,
                      dataset=each.dataset))
        for each in files.baseline if each.instruction in answers
    ]  # fmt: skip
    return asked, [each for each in files.baseline if each.instruction not in answers]


def _annotated(
    recipe: EvaluateRecipe, run_dir: Path, asked: Sequence[tuple[Output, Output]], files: Files, *, label: str
) -> tuple[list[Annotation], Seen]:  # fmt: skip
    model, protocol, seen, annotations = judge_of(recipe), protocol_of(recipe), Seen(), []

    async def work(teacher: Teacher, row: tuple[Output, Output]) -> Any:
        baseline, other = row
        if baseline.output == other.output:
            return None  # a draw, which AlpacaEval does not ask about
        call = Call(
            messages=messages(files.prompt, baseline.instruction, baseline.output, other.output),
            temperature=protocol.temperature, top_p=1.0,
            max_tokens=settings_of(recipe).judge_max_tokens or protocol.max_tokens,
            n_logprobs=N_LOGPROBS if protocol.weighted else None, may_be_cut=protocol.weighted,
        )  # fmt: skip
        found = await teacher.ask(model, call)
        if protocol.weighted and isinstance(found, Answer) and not found.logprobs:
            raise UserError(_no_logprobs(model))
        return found

    results = run_rows(asked, work, models={"judge": model}, budget=recipe.budget, folder=run_dir,
                       n_rows=len(asked), label=label)  # fmt: skip
    for n, found in results:
        baseline, other = asked[n]
        preference = DRAW if found is None else _preference(seen, found, baseline, protocol)
        raw = found.text if isinstance(found, Answer) else None
        annotations.append(_annotation(baseline, other, annotator(recipe, files), preference, raw))
    return annotations, seen


def _preference(seen: Seen, found: Any, asked: Output, protocol: Protocol) -> float | None:
    seen.add(found)
    if not isinstance(found, Answer):
        seen.fail(found.reason, found.detail, instruction=asked.instruction)
        return None
    shown = parse_logprobs(found.logprobs[0]) if protocol.weighted and found.logprobs else parse_ranking(found.text)
    if shown is None:
        seen.fail("no preference in it", found.text[:300], instruction=asked.instruction)
        return None
    return as_seen(shown, switched=is_switched(asked.instruction))


def _no_logprobs(model: LanguageModel) -> str:
    place = f" at {model.base_url}" if model.base_url else ""
    return (
        f"AlpacaEval's version 2 weighs the log-probabilities of one token, and {model.model}{place} sends none.\n"
        "Another way to read its answers would be another benchmark, so this run is refused. Ways out: a server that "
        "sends `top_logprobs` (vLLM does; OpenAI's for some models), or `version: 1`"
    )


def _annotation(
    baseline: Output, other: Output, annotator: str, preference: float | None, raw: str | None
) -> Annotation:  # fmt: skip
    return Annotation(
        instruction=baseline.instruction, output_1=baseline.output, generator_1=baseline.generator,
        output_2=other.output, generator_2=other.generator, dataset=baseline.dataset, annotator=annotator,
        preference=preference, raw_completion=raw,
    )  # fmt: skip


def _failed(asked: Output, name: str, recipe: EvaluateRecipe, files: Files) -> Annotation:
    other = Output(instruction=asked.instruction, output="", generator=name, dataset=asked.dataset)
    return _annotation(asked, other, annotator(recipe, files), None, None)


def _calibrate(recipe: EvaluateRecipe, run_dir: Path, files: Files) -> None:
    """The judge judges pairs whose preference is known."""
    settings, path = settings_of(recipe), run_dir / "alpaca_eval" / "calibration.json"
    if settings.calibration is None or path.is_file():
        return
    known = [each for each in read_annotations(known_file(settings.calibration)) if each.preference is not None]
    asked = [
        (Output(instruction=each.instruction, output=each.output_1, generator=each.generator_1, dataset=each.dataset),
         Output(instruction=each.instruction, output=each.output_2, generator=each.generator_2, dataset=each.dataset))
        for each in known
    ]  # fmt: skip
    annotations, seen = _annotated(recipe, run_dir, asked, files, label="AlpacaEval: calibration")
    write_seen(path.with_suffix(".seen.json"), seen, judge_of(recipe))
    write_annotations(path, annotations)
