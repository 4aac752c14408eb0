"""The `zephyr` command. Thin: each command finds its recipe and calls the one function that does the work."""

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from zephyr import __version__
from zephyr.errors import Interrupted, Until, UserError
from zephyr.recipe import Loaded, load
from zephyr.recipe.schema import TrainRecipe

EPILOG = """\
Values of a recipe are overridden by key: `train.beta=0.05`, or `--beta=0.05` where the name is unambiguous.
A recipe that names other recipes (`model_name_or_path: sft.yaml`) uses their output; `run --with-inputs` makes it.

  zephyr run recipes/mini/report.yaml --with-inputs     the whole method on a laptop, in minutes
  zephyr plan recipes/mini/dpo.yaml                     what will happen, before anything is spent
"""


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
        return arguments.command(arguments) or 0
    except UserError as error:
        print(f"\n{error}" if sys.stderr.isatty() else error, file=sys.stderr)
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


def say_interrupted(stopped: Interrupted) -> int:
    """Says where a run stopped; returns the status, which under `zephyr run`'s own launcher is for that one to give."""
    from zephyr.launch.command import LAUNCHED
    from zephyr.run import INTERRUPTED, is_main_process

    if is_main_process():
        print(f"  {stopped}", file=sys.stderr)
    return 0 if LAUNCHED in os.environ or isinstance(stopped, Until) else INTERRUPTED


TAKE_OVERRIDES = ("check", "plan", "preview", "prepare", "run", "labels")
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
    own = {"--slurm", *(option for each in _options() for option in each.flags)}
    kept, overrides, takes_value = [], [], False
    for word in words:
        name = word.split("=", 1)[0]
        if takes_value or "=" not in word or name in own:
            kept.append(word)
        else:
            overrides.append(word)
        takes_value = word in {"--everywhere", "--slurm"}
    return kept, overrides


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option that several commands share."""

    flags: tuple[str, ...]
    settings: dict


def _options() -> list[Option]:
    return [
        Option(flags=("--everywhere",), settings={"action": "append", "default": [], "metavar": "KEY=VALUE",
               "help": "override a key in this recipe and in every recipe it names (seed=1)"}),
        Option(flags=("--outputs",), settings={"type": Path, "metavar": "DIR",
               "help": "root of run directories (default: $ZEPHYR_OUTPUTS, or outputs)"}),
    ]  # fmt: skip


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

    def add(name: str, command: object, text: str, *, recipe: bool = False) -> argparse.ArgumentParser:
        each = commands.add_parser(name, help=text, description=text)
        each.set_defaults(command=command)
        if recipe:
            each.add_argument("recipe", help="recipe file, or the name of a shipped one (mini/sft)")
            for option in _options():
                each.add_argument(*option.flags, **option.settings)
        return each

    check = add("check", _check, "is the recipe right, with these overrides? All its errors, with file and line")
    check.add_argument("recipes", nargs="+", metavar="RECIPE", help="recipe file, folder of them, or a shipped one")
    plan = add("plan", _plan, "what will happen: batch, steps, tokens, inputs, where each value is from", recipe=True)
    plan.add_argument("--json", action="store_true", help="for programs")
    plan.add_argument("--diff", metavar="RECIPE", help="show what differs from another recipe instead of all values")
    plan.add_argument("--count", action="store_true", help="download and count the data whatever its size")
    preview = add("preview", _preview, "conversations as the model sees them: tokens, loss, what was cut", recipe=True)
    preview.add_argument("-n", type=int, default=3, help="rows to show (default: 3)")
    add(
        "prepare",
        _prepare,
        "make a training recipe's data ready, without GPUs: the run then starts at once",
        recipe=True,
    )
    run = add("run", _run, "run the recipe", recipe=True)
    run.add_argument("--print", action="store_true", help="show the command that would start the processes instead")
    run.add_argument("--with-inputs", action="store_true", help="first run the recipes it needs")
    run.add_argument("--offline", action="store_true", help="ask no model: answers come from disk, or the row fails")
    run.add_argument("--slurm", type=Path, metavar="CLUSTER", help="submit it to Slurm (recipes/clusters/slurm.yaml)")
    add("report", _report, "page and tables of a run directory").add_argument("directory", type=Path)
    score = add("score", _score, "figures of judged answers: FastChat's MT-Bench judgments, AlpacaEval's annotations")
    score.add_argument("files", nargs="+", type=Path, metavar="FILE", help="judgments or annotations, made anywhere")
    score.add_argument("--json", action="store_true", help="for programs: a list, one object per model")
    score.add_argument("--questions", type=Path, metavar="FILE", help="question.jsonl, for categories of own questions")
    labels = add("labels", _labels, "what preference labels are like: ties, lengths, agreement, suspicious values")
    labels.add_argument("data", nargs="+", help="file, directory or Hub id (`ours=theirs` names columns), or a recipe")
    labels.add_argument("--split", help="of a data set")
    labels.add_argument("--name", help="configuration of a Hub data set")
    labels.add_argument("--revision", help="of a Hub data set")
    labels.add_argument("--score", choices=("mean", "overall"), default="mean",
                        help="of scored answers: mean of the aspects, or the critique's (default: mean)")  # fmt: skip
    labels.add_argument("-o", "--output", type=Path, metavar="DIR", help="write labels.json and labels.md there")
    chat = add("chat", _chat, "talk to a model")
    chat.add_argument("model", help="model directory, run directory, recipe or Hub id")
    chat.add_argument("--system", default="", help="system message")
    chat.add_argument("--temperature", type=float, default=0.7, help="0: always the likeliest token (default: 0.7)")
    chat.add_argument("--max-new-tokens", type=int, default=512, help="longest answer (default: 512)")
    convert = add("convert", _convert, "turn a recipe of alignment-handbook or TRL into one of ours")
    convert.add_argument("file", type=Path, help="its YAML file")
    convert.add_argument("-o", "--output", type=Path, help="file to write (default: the terminal)")
    convert.add_argument("--stage", choices=("cpt", "sft", "dpo"), help="default: as its keys show")
    convert.add_argument("--processes", type=int, help="started with so many (default: 8, or 1 for TRL)")
    push = add("push", _push, "upload a finished run's model to the Hugging Face Hub; only this command uploads")
    push.add_argument("run", help="run directory, or its recipe")
    push.add_argument("--to", metavar="USER/NAME", help="repository (default: your account, and the run's name)")
    push.add_argument("--private", action="store_true", help="make the repository private")
    push.add_argument("--dry-run", action="store_true", help="show what would be sent; needs no network")
    merge = add("merge", _merge, "write an adapter into its base: a whole model, checked against the adapter")
    merge.add_argument("model", help="recipe, run directory, adapter directory or Hub id")
    merge.add_argument("-o", "--output", type=Path, metavar="DIR", help="directory to make (default: RUN_DIR/merged)")
    merge.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"),
                       help="precision of the merged weights (default: the base's)")  # fmt: skip
    add("schema", _schema, "the recipes' JSON schema, for editors").add_argument("-o", "--output", type=Path)
    recipes = add("recipes", _recipes, "list the shipped recipes, or copy one here with all it names")
    recipes.add_argument("name", nargs="?", help="recipe to copy (mini/sft, or mini for the whole folder)")
    recipes.add_argument("--to", type=Path, default=Path("recipes"), help="folder to copy into (default: recipes)")
    return top


def find(name: str) -> Path:
    """The recipe file meant: a path, or the name of a shipped recipe."""
    from zephyr.recipe.commands import shipped_recipes

    path = Path(name)
    if path.exists():
        return path
    shipped = shipped_recipes()
    known = {str(each.relative_to(shipped).with_suffix("")): each for each in sorted(shipped.rglob("*.yaml"))}
    wanted = name.removeprefix("recipes/").removesuffix(".yaml")
    if wanted in known:
        return known[wanted]
    raise UserError(_not_found(name, list(known)))


def _not_found(name: str, known: list[str]) -> str:
    import difflib

    path = Path(name)
    beside = {each.stem: str(each) for each in sorted(path.parent.glob("*.yaml"))}
    near = [beside[stem] for stem in difflib.get_close_matches(path.stem, beside, n=2, cutoff=0.75)]
    near = near or difflib.get_close_matches(
        name.removeprefix("recipes/").removesuffix(".yaml"), known, n=3, cutoff=0.5
    )
    hint = f"  Did you mean {' or '.join(near)}?\n" if near else ""
    return f"{name}: no such recipe file, and no shipped recipe of that name.\n{hint}  All shipped ones: zephyr recipes"


def load_named(arguments: argparse.Namespace) -> Loaded:
    """The recipe of a command line, with its overrides."""
    recipe = find(arguments.recipe)
    return load(recipe, arguments.overrides, everywhere=arguments.everywhere, outputs=arguments.outputs)


def _check(arguments: argparse.Namespace) -> int:
    from zephyr.recipe.commands import check

    return check([find(each) for each in arguments.recipes], arguments.overrides)


def _plan(arguments: argparse.Namespace) -> None:
    from zephyr.plan.plan import as_json, make_plan

    loaded = load_named(arguments)
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


def words_of(arguments: argparse.Namespace) -> list[str]:
    """The recipe, overrides and shared options, as they go to another `zephyr run` of the same recipe."""
    everywhere = [word for pair in arguments.everywhere for word in ("--everywhere", pair)]
    outputs = ["--outputs", str(arguments.outputs)] if arguments.outputs else []
    return [arguments.recipe, *arguments.overrides, *everywhere, *outputs]


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
    from zephyr.run import announce, execute, is_main_process

    words, overrides = split_overrides(list(argv))
    options = argparse.ArgumentParser(prog=f"run_{stages[0]}.py")
    options.add_argument("recipe")
    for option in _options():
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
    from zephyr.report.stage import report_directory

    report_directory(arguments.directory)


def _score(arguments: argparse.Namespace) -> None:
    from zephyr.evaluate.score import score_command

    score_command(arguments.files, arguments.questions, as_json=arguments.json)


def _labels(arguments: argparse.Namespace) -> None:
    from zephyr.data.label_sources import labels_command

    labels_command(
        arguments.data, arguments.overrides, split=arguments.split, name=arguments.name, revision=arguments.revision,
        score=arguments.score, output=arguments.output,
    )  # fmt: skip


def _chat(arguments: argparse.Namespace) -> None:
    from zephyr.evaluate.chat import chat

    chat(arguments.model, system=arguments.system, temperature=arguments.temperature,
         max_new_tokens=arguments.max_new_tokens)  # fmt: skip


def _convert(arguments: argparse.Namespace) -> None:
    from zephyr.recipe.convert import convert_command

    convert_command(arguments.file, arguments.output, arguments.stage, arguments.processes)


def _push(arguments: argparse.Namespace) -> None:
    from zephyr.publish import push

    directory = Path(arguments.run)
    run_dir = directory.resolve() if directory.is_dir() else load(find(arguments.run)).run_dir
    push(run_dir, arguments.to, private=arguments.private, dry_run=arguments.dry_run)


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
