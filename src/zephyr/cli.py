"""The `zephyr` command. Thin: each command finds its recipe and calls the one function that does the work."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from zephyr.arguments import TAKE_OVERRIDES, parser, refuse_overrides, shared_options, split_overrides
from zephyr.errors import REFUSED, Interrupted, Until, UserError
from zephyr.named import find, load_if_any, load_named, run_directory, words_of
from zephyr.recipe import Loaded, load
from zephyr.recipe.schema import TrainRecipe
from zephyr.recipe.study import StudyRecipe


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of the command; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words:
        parser().print_help()
        return 0
    overrides: list[str] = []
    try:
        if words[0] in TAKE_OVERRIDES:
            words, overrides = split_overrides(words)
        else:
            refuse_overrides(words)
        arguments = parser().parse_args(words)
        arguments.overrides = overrides
        return COMMANDS[arguments.command](arguments) or 0
    except UserError as error:
        print(f"\n{error}" if sys.stderr.isatty() else error, file=sys.stderr)
        note_refusal(error)
        return 1
    except Interrupted as stopped:
        return say_interrupted(stopped)
    except KeyboardInterrupt:
        hint = "; the same command goes on with what is there" if words[:1] == ["run"] else ""
        print(f"\nstopped{hint}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `zephyr plan ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def note_refusal(error: UserError) -> None:
    """Leaves a run's reason for the study that started it."""
    if REFUSED in os.environ:
        Path(os.environ[REFUSED]).write_text(str(error))


def say_interrupted(stopped: Interrupted) -> int:
    """Says where a run stopped; returns the status, which under `zephyr run`'s own launcher is for that one to give."""
    from zephyr.launch.command import LAUNCHED
    from zephyr.processes import is_main_process
    from zephyr.run import INTERRUPTED

    if is_main_process():
        print(f"  {stopped}", file=sys.stderr)
    return 0 if LAUNCHED in os.environ or isinstance(stopped, Until) else INTERRUPTED


def _check(arguments: argparse.Namespace) -> int:
    from zephyr.recipe.commands import check
    from zephyr.study.expand import expand

    return check([find(each) for each in arguments.recipes], arguments.overrides, of_study=expand)


def _plan(arguments: argparse.Namespace) -> None:
    from zephyr.plan.plan import as_json, make_plan

    loaded = load_named(arguments)
    if isinstance(loaded.recipe, StudyRecipe):
        from zephyr.study.cli import plan_study

        plan_study(loaded, arguments)
        return
    plan = make_plan(loaded, count=arguments.count)
    if arguments.json:
        print(json.dumps(as_json(plan), indent=2))
        return
    from rich.console import Console

    from zephyr.plan.show import show

    show(plan, Console(), load(find(arguments.diff)) if arguments.diff else None)


def _preview(arguments: argparse.Namespace) -> None:
    from zephyr.data.preview import preview

    preview(_training_recipe(arguments, "preview shows"), arguments.n)


def _prepare(arguments: argparse.Namespace) -> None:
    from zephyr.data.prepare import prepare_command

    prepare_command(_training_recipe(arguments, "prepare is for"))


def _training_recipe(arguments: argparse.Namespace, verb: str) -> TrainRecipe:
    """The recipe of a command line, whose inputs are there.

    Raises:
        UserError: it does not train, or its inputs have not been run.
    """
    from zephyr.run import missing_inputs, missing_message

    loaded = load_named(arguments)
    if not isinstance(loaded.recipe, TrainRecipe):
        raise UserError(f"{loaded.file}: `stage: {loaded.recipe.stage}` trains on nothing; {verb} cpt, sft and dpo")
    missing = missing_inputs(loaded)
    if missing:
        raise UserError(missing_message(loaded, missing))
    return loaded.recipe


def _run(arguments: argparse.Namespace) -> int:
    from zephyr.data.prepare import prepare
    from zephyr.launch.command import command, needs_launcher, require_gpus, start
    from zephyr.run import INTERRUPTED, announce, execute, run_inputs, status

    loaded, words = load_named(arguments), words_of(arguments)
    if arguments.offline:
        from zephyr.teacher.ask import OFFLINE

        os.environ[OFFLINE] = "1"  # for the inputs too, which run in processes of their own
    if isinstance(loaded.recipe, StudyRecipe):
        from zephyr.study.cli import run_or_submit

        return run_or_submit(loaded, arguments)
    if arguments.only or arguments.keep_going or arguments.jobs or arguments.devices:
        raise UserError(f"{loaded.file}: --only, --keep-going, --jobs and --devices are for studies")
    if arguments.slurm:
        from zephyr.launch.slurm import submit

        submit(loaded, words, arguments.slurm, print_only=arguments.print, with_inputs=arguments.with_inputs)
        return 0
    if arguments.print:
        print_command(loaded, words)
        return 0
    run_inputs(loaded, with_inputs=arguments.with_inputs, everywhere=arguments.everywhere, outputs=arguments.outputs)
    if not needs_launcher(loaded) or status(loaded) == "finished":
        announce(loaded)
        execute(loaded)
        return 0
    require_gpus(loaded)
    assert isinstance(loaded.recipe, TrainRecipe)
    prepare(loaded.recipe)  # before any process group is up: others would wait for it on their GPUs
    failed = start(command(loaded, words))
    return failed or (0 if status(loaded) == "finished" else INTERRUPTED)


def _status(arguments: argparse.Namespace) -> None:
    from zephyr.study.cli import study_status

    loaded = load_named(arguments)
    if not isinstance(loaded.recipe, StudyRecipe):
        raise UserError(f"{loaded.file}: `stage: {loaded.recipe.stage}`; status is of studies, `zephyr plan` of a run")
    study_status(loaded, arguments)


def print_command(loaded: Loaded, words: list[str]) -> None:
    """`zephyr run --print`: what would be started, on each machine."""
    from zephyr.launch.command import command

    machines = loaded.recipe.launch.machines if isinstance(loaded.recipe, TrainRecipe) else 1
    for rank in range(machines):
        if machines > 1:
            print(f"# on machine {rank}{' (MASTER)' if rank == 0 else ''}")
        print(command(loaded, words, machine_rank=rank, address="MASTER" if machines > 1 else None))


def run_script(stages: tuple[str, ...], argv: Sequence[str]) -> int:
    """What the files in scripts/ do, in each process that `accelerate launch` starts."""
    from zephyr.processes import is_main_process
    from zephyr.run import announce, execute

    words, overrides = split_overrides(list(argv))
    options = argparse.ArgumentParser(prog=f"run_{stages[0]}.py")
    options.add_argument("recipe")
    for option in shared_options():
        options.add_argument(*option.flags, **option.settings)
    arguments = options.parse_args(words)
    arguments.overrides = overrides
    try:
        loaded = load_named(arguments)
        if loaded.recipe.stage not in stages:
            wanted = " or ".join(f"`stage: {each}`" for each in stages)
            raise UserError(f"{loaded.file}: this script runs {wanted}, the recipe says `stage: {loaded.recipe.stage}`")
        announce(loaded)
        execute(loaded)
    except Interrupted as stopped:
        return say_interrupted(stopped)
    except UserError as error:
        if is_main_process() or error.rank_specific:
            print(error, file=sys.stderr)
        return 1
    return 0


def _report(arguments: argparse.Namespace) -> None:
    loaded = load_if_any(arguments)
    if loaded and isinstance(loaded.recipe, StudyRecipe):
        from zephyr.study.cli import report_study

        report_study(loaded, arguments)
        return
    from zephyr.report.stage import report_directory

    if loaded and not loaded.run_dir.exists():
        raise UserError(f"{arguments.recipe}: not run yet: zephyr run {shlex.join(words_of(arguments))}")
    report_directory(loaded.run_dir if loaded else Path(arguments.recipe).resolve())


def _score(arguments: argparse.Namespace) -> None:
    from zephyr.evaluate.score.command import score_command

    score_command(arguments.files, arguments.questions, as_json=arguments.json)


def _labels(arguments: argparse.Namespace) -> None:
    from zephyr.data.labels.command import labels_command

    labels_command(
        arguments.data, arguments.overrides, split=arguments.split, name=arguments.name, revision=arguments.revision,
        score=arguments.score, output=arguments.output,
    )  # fmt: skip


def _chat(arguments: argparse.Namespace) -> None:
    from zephyr.evaluate.chat import chat

    chat(arguments.model, system=arguments.system, temperature=arguments.temperature,
         max_new_tokens=arguments.max_new_tokens)  # fmt: skip


def _convert(arguments: argparse.Namespace) -> None:
    from zephyr.recipe.convert.command import convert_command

    convert_command(arguments.file, arguments.output, arguments.stage, arguments.processes)


def _push(arguments: argparse.Namespace) -> None:
    from zephyr.publish import push

    push(run_directory(arguments.run), arguments.to, private=arguments.private, dry_run=arguments.dry_run)


def _merge(arguments: argparse.Namespace) -> None:
    from zephyr.train.merge import merge

    merged = merge(arguments.model, arguments.output, dtype=arguments.dtype)
    print("\n".join([*merged.sentences(), f"  model: {merged.output}"]))


def _schema(arguments: argparse.Namespace) -> None:
    from zephyr.recipe.json_schema import schema

    text = json.dumps(schema(), indent=2) + "\n"
    if arguments.output:
        arguments.output.write_text(text)
    else:
        print(text, end="")


def _recipes(arguments: argparse.Namespace) -> None:
    from zephyr.recipe.commands import copy_recipe, list_recipes

    if arguments.name:
        copy_recipe(arguments.name, arguments.to)
    else:
        list_recipes()


COMMANDS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "check": _check,
    "plan": _plan,
    "preview": _preview,
    "prepare": _prepare,
    "run": _run,
    "status": _status,
    "report": _report,
    "score": _score,
    "labels": _labels,
    "chat": _chat,
    "convert": _convert,
    "push": _push,
    "merge": _merge,
    "schema": _schema,
    "recipes": _recipes,
}
