"""AlpacaEval in an `evaluate` run: answers, judged pairs, figures, each step from the files of the one before.

In the run directory: `alpaca_eval/outputs/ROW.json` and `alpaca_eval/annotations.json`, both as AlpacaEval writes them,
the pairs of the calibration judged again (`calibration.json`), and beside each file who answered and when.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zephyr.data.readers import read_json
from zephyr.errors import UserError
from zephyr.evaluate.alpaca_eval import (
    DRAW,
    N_LOGPROBS,
    V1,
    V2,
    Protocol,
    as_seen,
    is_switched,
    messages,
    parse_logprobs,
    parse_ranking,
)
from zephyr.evaluate.alpaca_eval_calibration import calibrate
from zephyr.evaluate.alpaca_eval_files import (
    V1_BASELINE,
    Annotation,
    Output,
    baseline_of,
    fingerprint,
    pairs,
    read_annotations,
    read_outputs,
    write_annotations,
    write_outputs,
)
from zephyr.evaluate.alpaca_eval_score import compare, summary, win_rates
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
from zephyr.evaluate.published import ALPACA_EVAL_BASELINE, ALPACA_EVAL_PROMPT, obtain, sha256_of
from zephyr.evaluate.statistics import Difference
from zephyr.recipe.evaluate import AlpacaEval, EvaluateRecipe
from zephyr.recipe.teacher import LanguageModel
from zephyr.teacher.ask import Teacher, run_rows
from zephyr.teacher.call import Answer, Call

PUBLISHED = "zephyr-7b-beta"
"""Whose published annotations `calibration` may name instead of a file."""
KEY = "benchmarks.alpaca_eval.max_failed_share"


@dataclass(frozen=True, kw_only=True)
class Files:
    """What AlpacaEval is made of."""

    baseline: list[Output]
    prompt: str
    official: bool
    """Whether prompt and baseline are those that published figures of version 1 were made with."""
    hashes: dict[str, str]
    """What -> SHA-256 of its file."""


def read_files(settings: AlpacaEval) -> Files:
    """The baseline's answers and the judge's prompt.

    Raises:
        UserError: one can't be had or is something else.
    """
    prompt = Path(settings.prompt) if settings.prompt is not None else obtain(ALPACA_EVAL_PROMPT)
    if not prompt.is_file():
        raise UserError(f"{prompt}: there is no such file. Expected AlpacaEval's prompt for the judge.")
    baseline = read_baseline(Path(settings.baseline) if settings.baseline else obtain(ALPACA_EVAL_BASELINE))
    hashes = {"prompt": sha256_of(prompt), "baseline": fingerprint(baseline)}
    official = hashes == {"prompt": ALPACA_EVAL_PROMPT.sha256, "baseline": V1_BASELINE}
    return Files(baseline=baseline, prompt=prompt.read_text(), official=official, hashes=hashes)


def read_baseline(path: Path) -> list[Output]:
    """The baseline's answers from its outputs, or from annotations of any model."""
    if path.is_file() and (first := next(iter(read_json(path)), None)) and "output_1" in (first.fields or {}):
        return baseline_of(read_annotations(path))
    return read_outputs(path)


# Answers


def generate(recipe: EvaluateRecipe, run_dir: Path) -> None:
    """Every model answers the instructions; a model whose file is there is not asked.

    Raises:
        UserError: too many answers of a model failed, or stored answers lack an instruction.
    """
    settings = _settings(recipe)
    files = read_files(settings)
    for stored in settings.answers.values():
        pairs(files.baseline, read_outputs(Path(stored)))  # what is wrong with them is said before anything is asked
    for name, model in models_of(recipe).items():
        path = _outputs_file(run_dir, name)
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
    settings = _settings(recipe)
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
    settings, path = _settings(recipe), run_dir / "alpaca_eval" / "annotations.json"
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
        write_seen(path.with_suffix(".seen.json"), seen, _judge(recipe))
        write_annotations(path, annotations)
    _calibrate(recipe, run_dir, files)


def _add(seen: Seen, own: Seen, name: str) -> None:
    seen.n += own.n
    seen.served.update(own.served)
    seen.created += own.created
    seen.failed += [{"model": name, **each} for each in own.failed]


def outputs_of(recipe: EvaluateRecipe, run_dir: Path, name: str) -> list[Output]:
    """A row's answers: those stored by others, or those that this run generated."""
    stored = _settings(recipe).answers
    return read_outputs(Path(stored[name]) if name in stored else _outputs_file(run_dir, name))


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
    model, protocol, seen, annotations = _judge(recipe), _protocol(recipe), Seen(), []

    async def work(teacher: Teacher, row: tuple[Output, Output]) -> Any:
        baseline, other = row
        if baseline.output == other.output:
            return None  # a draw, which AlpacaEval does not ask about
        call = Call(
            messages=messages(files.prompt, baseline.instruction, baseline.output, other.output),
            temperature=protocol.temperature, top_p=1.0,
            max_tokens=_settings(recipe).judge_max_tokens or protocol.max_tokens,
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


def annotator(recipe: EvaluateRecipe, files: Files) -> str:
    """AlpacaEval's name of the judge where judge, prompt and baseline are its own; else the judge's name."""
    protocol, judge = _protocol(recipe), _judge(recipe).model
    same = judge == protocol.judge and (files.official or protocol.weighted)
    return protocol.annotator if same else judge


def _known(calibration: str) -> Path:
    """The file with known preferences."""
    return obtain(ALPACA_EVAL_BASELINE) if calibration == PUBLISHED else Path(calibration)


def _calibrate(recipe: EvaluateRecipe, run_dir: Path, files: Files) -> None:
    """The judge judges pairs whose preference is known."""
    settings, path = _settings(recipe), run_dir / "alpaca_eval" / "calibration.json"
    if settings.calibration is None or path.is_file():
        return
    known = [each for each in read_annotations(_known(settings.calibration)) if each.preference is not None]
    asked = [
        (Output(instruction=each.instruction, output=each.output_1, generator=each.generator_1, dataset=each.dataset),
         Output(instruction=each.instruction, output=each.output_2, generator=each.generator_2, dataset=each.dataset))
        for each in known
    ]  # fmt: skip
    annotations, seen = _annotated(recipe, run_dir, asked, files, label="AlpacaEval: calibration")
    write_seen(path.with_suffix(".seen.json"), seen, _judge(recipe))
    write_annotations(path, annotations)


# Figures


def score(recipe: EvaluateRecipe, run_dir: Path) -> Scored:
    """Figures from the files alone."""
    settings, folder = _settings(recipe), run_dir / "alpaca_eval"
    files = read_files(settings)
    annotations = read_annotations(folder / "annotations.json")
    found = {each.model: each for each in win_rates(annotations)}
    names = [name for name in row_names(list(models_of(recipe)), settings.answers) if name in found]
    compared = [(a, b, compare(found[a], found[b])) for a, b in itertools.combinations(names, 2)]
    judging = read_seen(folder / "annotations.seen.json") | {"annotator": annotator(recipe, files)}
    if settings.calibration is not None:
        again = calibrate(read_annotations(_known(settings.calibration)), read_annotations(folder / "calibration.json"))
        judging["calibration"] = asdict(again) if again else None
    return Scored(
        scores={name: summary(found[name]) | _cut(run_dir, name) for name in names},
        comparisons=[comparison("alpaca_eval", a, b, each) for a, b, each in compared if isinstance(each, Difference)],
        rows=list(_rows(annotations)),
        warnings=[*_marks(recipe, files, judging), *_failures(found[name] for name in names)],
        judging=judging,
        provenance={"files": files.hashes, "answers": {k: sha256_of(Path(v)) for k, v in settings.answers.items()}},
    )


def _cut(run_dir: Path, name: str) -> dict[str, Any]:
    seen = read_seen(_outputs_file(run_dir, name).with_suffix(".seen.json"))
    return {"n_unfinished": seen["n_cut"], "n_empty": seen["n_empty"]} if seen else {}


def _failures(found: Iterable[Any]) -> list[str]:
    return [
        f"AlpacaEval, {each.model}: {each.n_failed} of {each.n + each.n_failed} judgments failed; they are in no mean"
        for each in found
        if each.n_failed
    ]


def _marks(recipe: EvaluateRecipe, files: Files, judging: dict[str, Any]) -> list[str]:
    """What makes these figures others than the paper's."""
    protocol, judge = _protocol(recipe), _judge(recipe).model
    if protocol.weighted:
        return ["AlpacaEval's version 2: another judge, prompt and baseline than the paper's (version 1)"]
    marks = []
    if not files.official:
        marks.append(
            "AlpacaEval with another prompt or other answers of the baseline than the published figures of version 1"
        )
    if judge != protocol.judge:
        said = f"AlpacaEval was judged by {judge}, not by the paper's {protocol.judge}: these rates are not comparable"
        again = judging.get("calibration")
        known = again and (
            f". On {again['n']} pairs with known preferences by {again['known_judge']} its rate is "
            f"{again['offset']:+.1f} points off, its preference the same in {again['same']:.0%}"
        )
        marks.append(said + (known or ", and no calibration says how far off (`benchmarks.alpaca_eval.calibration`)"))
    return marks


def _rows(annotations: Iterable[Annotation]) -> Iterable[dict[str, Any]]:
    for each in annotations:
        won = None if each.preference is None else 100 * (each.preference - 1)
        said = [{"role": "user", "content": each.instruction}, {"role": "assistant", "content": each.output_2}]
        yield {
            "model": each.generator_2, "benchmark": "alpaca_eval", "id": each.instruction, "category": each.dataset,
            "turns": said, "score": won, "turn_scores": [won],
        }  # fmt: skip


def _outputs_file(run_dir: Path, name: str) -> Path:
    return file_of(run_dir / "alpaca_eval" / "outputs", name, ".json")


def _protocol(recipe: EvaluateRecipe) -> Protocol:
    return V1 if _settings(recipe).version == 1 else V2


def _settings(recipe: EvaluateRecipe) -> AlpacaEval:
    assert recipe.benchmarks.alpaca_eval is not None
    return recipe.benchmarks.alpaca_eval


def _judge(recipe: EvaluateRecipe) -> LanguageModel:
    assert recipe.judge is not None  # checked when the recipe was read
    return recipe.judge
