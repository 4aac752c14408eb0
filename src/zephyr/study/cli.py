"""What `zephyr plan`, `run`, `status` and `report` do with a study."""

import argparse
import json
from pathlib import Path

from rich.console import Console

from zephyr.errors import UserError
from zephyr.named import names_a_run
from zephyr.recipe import Loaded
from zephyr.recipe.problems import shown
from zephyr.study.changed import refuse_changed
from zephyr.study.command import command_of
from zephyr.study.directory import OPTIONS, options_in, refuse_taken, reopen
from zephyr.study.expand import Study, expand
from zephyr.study.status import show_status


def read_study(loaded: Loaded, arguments: argparse.Namespace) -> Study:
    """The study of a command line: of a file with what is said beside it, of a directory as it was last run.

    Raises:
        UserError: values are said beside a directory, whose study says them itself.
    """
    if not names_a_run(arguments):
        return expand(loaded, everywhere=arguments.everywhere, outputs=arguments.outputs)
    if arguments.overrides or arguments.everywhere:
        said = (arguments.overrides + arguments.everywhere)[0]
        raise UserError(f"{arguments.recipe}: found `{said}` beside a study's directory, which is read as it was run; "
                        f"with other values it is another study: zephyr run {shown(loaded.file)} ...")  # fmt: skip
    return reopen(loaded.run_dir, arguments.outputs)


def plan_study(loaded: Loaded, arguments: argparse.Namespace) -> None:
    """Shows every run it takes, or prints that as JSON."""
    from zephyr.study.plan.plan import as_json, make_study_plan
    from zephyr.study.plan.show import show_study_plan

    for option in ("count", "diff"):
        if getattr(arguments, option):
            raise UserError(
                f"{loaded.file}: --{option} is for a single recipe, such as one of those that this study names"
            )
    study = read_study(loaded, arguments)
    refuse_taken(study)
    plan = make_study_plan(study)
    if arguments.json:
        print(json.dumps(as_json(plan), indent=2))
        return
    show_study_plan(plan, Console())


def run_or_submit(loaded: Loaded, arguments: argparse.Namespace) -> int:
    """Runs what is missing of it, here or as jobs of Slurm; returns the exit status."""
    from zephyr.study.run import run_study
    from zephyr.study.slots import slots

    study = read_study(loaded, arguments)
    if arguments.slurm:
        from zephyr.study.slurm import submit_study

        for option in ("jobs", "devices", "keep_going"):
            if getattr(arguments, option):
                raise UserError(f"{loaded.file}: --{option.replace('_', '-')} means nothing with --slurm: every run is "
                                "a job of its own, and what does not hang on a failed one goes on")  # fmt: skip

        submit_study(study, arguments.slurm, only=arguments.only, print_only=arguments.print)
        return 0
    if arguments.print:
        raise UserError(f"{loaded.file}: a study is no single command; `zephyr plan` shows the runs it takes")
    having = slots(arguments.devices, arguments.jobs)
    again = command_of(study, _options(arguments))
    return run_study(study, having, only=arguments.only, keep_going=arguments.keep_going, command=again)


def _options(arguments: argparse.Namespace) -> list[str]:
    """What was said beside the study of how it is to run."""
    words = [word for each in arguments.only for word in ("--only", each)]
    words += ["--keep-going"] if arguments.keep_going else []
    words += ["--jobs", str(arguments.jobs)] if arguments.jobs else []
    words += ["--devices", arguments.devices] if arguments.devices else []
    return [*words, *(["--offline"] if arguments.offline else [])]


def study_status(loaded: Loaded, arguments: argparse.Namespace) -> None:
    """Shows how far it is."""
    study = read_study(loaded, arguments)
    refuse_taken(study)
    show_status(study, Console())


def report_study(loaded: Loaded, arguments: argparse.Namespace) -> None:
    """Writes its table and page anew, and shows them.

    A file is read as it is now, with the options that its last run was given where none are; a directory as it was run.

    Raises:
        UserError: it was never run, or its report would lose rows.
    """
    from zephyr.study.report import show, write_report

    study = read_study(loaded, arguments)
    recorded = options_in(study.loaded.run_dir)
    if not study.reopened and recorded["outputs"]:
        outputs = arguments.outputs or Path(recorded["outputs"])
        study = expand(loaded, everywhere=arguments.everywhere or recorded["everywhere"], outputs=outputs)
    refuse_taken(study)
    if not (study.loaded.run_dir / OPTIONS).is_file():
        raise UserError(f"{arguments.recipe}: not run yet: {command_of(study)}")
    refuse_changed(study)
    write_report(study)
    show(study, Console())
