"""What `zephyr plan`, `run`, `status` and `report` do with a study."""

import argparse
import json
from pathlib import Path

from rich.console import Console

from zephyr.errors import UserError
from zephyr.recipe import Loaded
from zephyr.study.directory import reopen
from zephyr.study.expand import Study, expand
from zephyr.study.status import show_status


def read_study(loaded: Loaded, arguments: argparse.Namespace) -> Study:
    """The study of a command line, with what was said for all its recipes."""
    return expand(loaded, everywhere=arguments.everywhere, outputs=arguments.outputs)


def plan_study(loaded: Loaded, arguments: argparse.Namespace) -> None:
    """Shows every run it takes, or prints that as JSON."""
    from zephyr.study.plan.plan import as_json, make_study_plan
    from zephyr.study.plan.show import show_study_plan

    for option in ("count", "diff"):
        if getattr(arguments, option):
            raise UserError(
                f"{loaded.file}: --{option} is for a single recipe, such as one of those that this study names"
            )
    plan = make_study_plan(read_study(loaded, arguments))
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

        submit_study(study, arguments.slurm, only=arguments.only, print_only=arguments.print)
        return 0
    if arguments.print:
        raise UserError(f"{loaded.file}: a study is no single command; `zephyr plan` shows the runs it takes")
    return run_study(
        study, slots(arguments.devices, arguments.jobs), only=arguments.only, keep_going=arguments.keep_going
    )


def study_status(loaded: Loaded, arguments: argparse.Namespace) -> None:
    """Shows how far it is."""
    show_status(read_study(loaded, arguments), Console())


def report_study(directory: Path) -> None:
    """Writes its table and page anew, and shows them."""
    from zephyr.study.report import show, write_report

    study = reopen(directory)
    write_report(study)
    show(study, Console())
