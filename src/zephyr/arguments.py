"""The command line of `zephyr`: its commands and options, and the overrides between them."""

import argparse
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from zephyr import __version__
from zephyr.errors import UserError

EPILOG = """\
Values of a recipe are overridden by key: `train.beta=0.05`, or `--beta=0.05` where the name is unambiguous.
A recipe that names other recipes (`model_name_or_path: sft.yaml`) uses their output; `run --with-inputs` makes it.

  zephyr run recipes/mini/report.yaml --with-inputs     the whole method on a laptop, in minutes
  zephyr plan recipes/mini/dpo.yaml                     what will happen, before anything is spent
"""
TAKE_OVERRIDES = ("check", "plan", "preview", "prepare", "run", "status", "report", "labels")
"""Commands to which `key=value` means something; `labels` takes names of columns too."""


def refuse_overrides(words: list[str]) -> None:
    """UserError where a command that reads no recipe's keys is given one: passed over, it would seem to have worked."""
    takes_value = _options_of(words[0])
    for before, word in pairwise(words):
        is_pair = re.match(r"(?:--)?[A-Za-z_][\w.\[\]]*=", word) and word.partition("=")[0] not in takes_value
        if is_pair and not takes_value.get(before) and not Path(word).exists():
            raise UserError(
                f"zephyr {words[0]}: found `{word}`, and this command takes no overrides; "
                f"{', '.join(TAKE_OVERRIDES[:-2])} and {TAKE_OVERRIDES[-2]} do"
            )


def _options_of(command: str) -> dict[str, bool]:
    """The options of a command -> whether a value comes after."""
    for each in parser()._actions:
        if isinstance(each, argparse._SubParsersAction) and command in each.choices:
            return {flag: own.nargs != 0 for flag, own in each.choices[command]._option_string_actions.items()}
    return {}


def split_overrides(words: list[str]) -> tuple[list[str], list[str]]:
    """Takes `key=value` and `--key=value` out of the command line; our own options take their value after a space."""
    own = {"--slurm", "--only", "--jobs", "--devices", *(option for each in shared_options() for option in each.flags)}
    kept, overrides, takes_value = [], [], False
    for word in words:
        name = word.split("=", 1)[0]
        if takes_value or "=" not in word or name in own:
            kept.append(word)
        else:
            overrides.append(word)
        takes_value = word in {"--everywhere", "--slurm", "--only"}
    return kept, overrides


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option that several commands share."""

    flags: tuple[str, ...]
    settings: dict


def shared_options() -> list[Option]:
    """Those of every command that takes a recipe."""
    return [
        Option(flags=("--everywhere",), settings={"action": "append", "default": [], "metavar": "KEY=VALUE",
               "help": "override a key in this recipe and in every recipe it names (seed=1)"}),
        Option(flags=("--outputs",), settings={"type": Path, "metavar": "DIR",
               "help": "root of run directories (default: $ZEPHYR_OUTPUTS, or outputs)"}),
    ]  # fmt: skip


class Add(Protocol):
    """Adds a command; with `recipe` it takes one, and the options that go with it."""

    def __call__(self, name: str, text: str, *, recipe: bool = False) -> argparse.ArgumentParser:
        """The command's own parser."""
        ...


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(
        prog="zephyr",
        description="Align a language model as Zephyr-7B was, from YAML recipes.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"zephyr {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, text: str, *, recipe: bool = False) -> argparse.ArgumentParser:
        each = commands.add_parser(name, help=text, description=text)
        each.set_defaults(command=name)
        if recipe:
            each.add_argument("recipe", help="recipe file, or the name of a shipped one (mini/sft)")
            for option in shared_options():
                each.add_argument(*option.flags, **option.settings)
        return each

    _recipe_commands(add)
    _outcome_commands(add)
    _other_commands(add)
    return top


def _recipe_commands(add: Add) -> None:
    """The commands before and while a recipe runs."""
    check = add("check", "is the recipe right, with these overrides? All its errors, with file and line")
    check.add_argument("recipes", nargs="+", metavar="RECIPE", help="recipe file, folder of them, or a shipped one")
    plan = add("plan", "what will happen: batch, steps, tokens, inputs, where each value is from", recipe=True)
    plan.add_argument("--json", action="store_true", help="for programs")
    plan.add_argument("--diff", metavar="RECIPE", help="show what differs from another recipe instead of all values")
    plan.add_argument("--count", action="store_true", help="download and count the data whatever its size")
    preview = add("preview", "conversations as the model sees them: tokens, loss, what was cut", recipe=True)
    preview.add_argument("-n", type=int, default=3, help="rows to show (default: 3)")
    add(
        "prepare",
        "make a training recipe's data ready, without GPUs: the run then starts at once",
        recipe=True,
    )
    run = add("run", "run the recipe", recipe=True)
    run.add_argument("--print", action="store_true", help="show the command that would start the processes instead")
    run.add_argument("--with-inputs", action="store_true", help="first run the recipes it needs")
    run.add_argument("--offline", action="store_true", help="ask no model: answers come from disk, or the row fails")
    run.add_argument("--slurm", type=Path, metavar="CLUSTER", help="submit it to Slurm (recipes/clusters/slurm.yaml)")
    of_a_study = run.add_argument_group("of a study")
    of_a_study.add_argument("--only", action="append", default=[], metavar="ROW", help="run this row (may be repeated)")
    of_a_study.add_argument("--keep-going", action="store_true", help="after a failure run what does not hang on it")
    of_a_study.add_argument(
        "--jobs", type=int, metavar="N", help="runs at once (default: as many as GPUs are free for)"
    )
    of_a_study.add_argument("--devices", metavar="0,1,...", help="GPUs to use (default: all that are visible)")
    add("status", "how far a study is: its rows, what runs, what failed", recipe=True)


def _outcome_commands(add: Add) -> None:
    """The commands that look at what there is."""
    report = add("report", "page and tables of a run, or of a study as far as it is")
    report.add_argument("recipe", metavar="RUN", help="run directory, or its recipe")
    for option in shared_options():
        report.add_argument(*option.flags, **option.settings)
    score = add("score", "figures of judged answers: FastChat's MT-Bench judgments, AlpacaEval's annotations")
    score.add_argument("files", nargs="+", type=Path, metavar="FILE", help="judgments or annotations, made anywhere")
    score.add_argument("--json", action="store_true", help="for programs: a list, one object per model")
    score.add_argument("--questions", type=Path, metavar="FILE", help="question.jsonl, for categories of own questions")
    labels = add("labels", "what preference labels are like: ties, lengths, agreement, suspicious values")
    labels.add_argument("data", nargs="+", help="file, directory or Hub id (`ours=theirs` names columns), or a recipe")
    labels.add_argument("--split", help="of a data set")
    labels.add_argument("--name", help="configuration of a Hub data set")
    labels.add_argument("--revision", help="of a Hub data set")
    labels.add_argument("--score", choices=("mean", "overall"), default="mean",
                        help="of scored answers: mean of the aspects, or the critique's (default: mean)")  # fmt: skip
    labels.add_argument("-o", "--output", type=Path, metavar="DIR", help="write labels.json and labels.md there")
    chat = add("chat", "talk to a model")
    chat.add_argument("model", help="model directory, run directory, recipe or Hub id")
    chat.add_argument("--system", default="", help="system message")
    chat.add_argument("--temperature", type=float, default=0.7, help="0: always the likeliest token (default: 0.7)")
    chat.add_argument("--max-new-tokens", type=int, default=512, help="longest answer (default: 512)")


def _other_commands(add: Add) -> None:
    """The commands that bring recipes in, and models out."""
    convert = add("convert", "turn a recipe of alignment-handbook or TRL into one of ours")
    convert.add_argument("file", type=Path, help="its YAML file")
    convert.add_argument("-o", "--output", type=Path, help="file to write (default: the terminal)")
    convert.add_argument("--stage", choices=("cpt", "sft", "dpo"), help="default: as its keys show")
    convert.add_argument("--processes", type=int, help="started with so many (default: 8, or 1 for TRL)")
    push = add("push", "upload a finished run's model to the Hugging Face Hub; only this command uploads")
    push.add_argument("run", help="run directory, or its recipe")
    push.add_argument("--to", metavar="USER/NAME", help="repository (default: your account, and the run's name)")
    push.add_argument("--private", action="store_true", help="make the repository private")
    push.add_argument("--dry-run", action="store_true", help="show what would be sent; needs no network")
    merge = add("merge", "write an adapter into its base: a whole model, checked against the adapter")
    merge.add_argument("model", help="recipe, run directory, adapter directory or Hub id")
    merge.add_argument("-o", "--output", type=Path, metavar="DIR", help="directory to make (default: RUN_DIR/merged)")
    merge.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"),
                       help="precision of the merged weights (default: the base's)")  # fmt: skip
    add("schema", "the recipes' JSON schema, for editors").add_argument("-o", "--output", type=Path)
    recipes = add("recipes", "list the shipped recipes, or copy one here with all it names")
    recipes.add_argument("name", nargs="?", help="recipe to copy (mini/sft, or mini for the whole folder)")
    recipes.add_argument("--to", type=Path, default=Path("recipes"), help="folder to copy into (default: recipes)")
