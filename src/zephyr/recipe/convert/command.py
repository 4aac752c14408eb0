"""`zephyr convert`: a recipe of alignment-handbook or TRL becomes one of ours, and nothing changes unsaid."""

import difflib
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zephyr
from zephyr.errors import UserError
from zephyr.recipe import renamed
from zephyr.recipe.carried import yaml_lines
from zephyr.recipe.convert.data import data
from zephyr.recipe.convert.keys import Foreign, Note, model
from zephyr.recipe.convert.origin import dialect_of, stage_of
from zephyr.recipe.convert.train import launch, train
from zephyr.recipe.load import load
from zephyr.recipe.problems import RecipeError, shown
from zephyr.recipe.reader import read
from zephyr.recipe.trl_keys import FIXED, OWNED, known_keys

HEADINGS = {
    "moved": "Means something else here, or was decided for you",
    "lost": "Not carried over",
    "default": "Unsaid there, written out here",
    "renamed": "The same under another name",
}
SECTIONS = ("stage", "name", "description", "seed", "model", "adapter", "data", "train", "launch", "trl")
WIDTH = 118
NOTHING = {
    "do_train": "a recipe of this stage trains", "logging_strategy": "`train.logging_steps` says it",
    "overwrite_output_dir": "a finished run is never overwritten", "max_steps": "`train.num_train_epochs` says it",
    "do_eval": "what `data.eval` names is evaluated", "remove_unused_columns": "only what is trained on is passed on",
    "preprocessing_num_workers": "rows are prepared once", "dataset_num_proc": "rows are prepared once",
    "log_level": "the log is the toolkit's own", "trust_remote_code": "`model.trust_remote_code`, false by default",
    "lora_task_type": "always a causal language model",
}  # fmt: skip
"""Keys that leave nothing to write, with the reason; those here that change nothing whatever their value."""
KERNELS = ("use_liger_kernel", "liger_kernel_config", "use_liger", "use_liger_loss", "use_unsloth")
ACCELERATE = ("mixed_precision", "num_cpu_threads_per_process", "gpu_ids", "main_process_port", "main_process_ip",
              "machine_rank", "same_network", "rdzv_backend", "dynamo_backend", "multi_gpu", "cpu", "env")  # fmt: skip
"""Keys that TRL hands on to `accelerate launch`."""


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A recipe of ours, and what became of the other's keys."""

    text: str
    """The recipe, its notes in its header."""
    notes: tuple[Note, ...]
    stage: str
    template: str | None
    """Text of its chat template, if that goes into a file of its own."""


def convert(file: Path, stage: str | None = None, processes: int | None = None, template_name: str = "") -> Converted:
    """Our recipe for a foreign one.

    Args:
        file: the foreign recipe.
        stage: `cpt`, `sft` or `dpo`. Default: as its keys show.
        processes: how many it was started with. Default: 8 for alignment-handbook, 1 for TRL.
        template_name: name of the file that its chat template will be written to.

    Raises:
        UserError: it can't be read, is our own, or for a method that is not here; or the result is no right recipe.
    """
    document = read(file)
    document.problems.refuse()
    dialect = dialect_of(document.data, file)
    found, why = (stage, "--stage says so") if stage else stage_of(document.data, file, file.read_text("utf-8-sig"))
    lines = {str(parts[0]): mark.origin.line for parts, mark in document.marks.items() if len(parts) == 1}
    foreign = Foreign(data=document.data, lines=lines, file=file, dialect=dialect, stage=found)
    foreign.put("stage", found, because=why)
    foreign.note("default", f"`stage: {found}`: {why}")
    _sections(foreign, processes, template_name)
    recipe = {key: foreign.recipe[key] for key in SECTIONS if key in foreign.recipe}
    text = _text(foreign, recipe)
    _check(text, foreign, template_name)
    return Converted(text=text, notes=tuple(foreign.notes), stage=found, template=foreign.template)


def _sections(foreign: Foreign, processes: int | None, template_name: str) -> None:
    foreign.carry("name", "run_name")
    foreign.put("description", f"Converted from {foreign.file.name}", because=foreign.dialect.name)
    foreign.carry("seed", "seed", default=42)
    model(foreign)
    data(foreign)
    train(foreign)
    launch(foreign, processes)
    if foreign.template is not None:
        if not template_name:
            raise UserError(
                f"{shown(foreign.file)} brings its own chat template, which goes into a file beside the "
                "recipe: say where with -o OUT.yaml"
            )
        key = "chat_template" if "chat_template" in foreign.data else "chat_template_path"
        foreign.put("data.chat_template", template_name, key=key)
    _rest(foreign)
    for remark in foreign.dialect.remarks.get(foreign.stage, ()):
        foreign.note("moved", remark)
    foreign.note(
        "moved",
        "rows that can't be used and held-out rows that are trained on too were passed over in silence; "
        "here they stop the run (`data.max_unusable_share`, `data.eval_overlap`)",
    )


def _rest(foreign: Foreign) -> None:
    """Every key that no section took: passed on to TRL, or named with the reason why not."""
    arguments = known_keys(foreign.stage)
    for key, value in foreign.data.items():
        if key in foreign.seen and key not in NOTHING:
            if not _told(foreign, key):
                foreign.note("renamed", "read together with the keys above", key)
            continue
        if key in NOTHING:
            if not _told(foreign, key):
                foreign.note("renamed", f"nothing to write: {NOTHING[key]}", key)
        elif value is None:
            foreign.note("renamed", "nothing to write: it said nothing", key)
        elif key in arguments and not (_is_said(key) or _uploads(key)):
            foreign.put(f"trl.{key}", value, key=key)
            foreign.note("renamed", f"`trl.{key}`, passed on to TRL", key)
        else:
            foreign.note("lost", _why_not(foreign, key, arguments), key)


def _is_said(key: str) -> bool:
    """Whether there is a better answer to a key of TRL's than to pass it on."""
    return key in OWNED or key in FIXED or key in renamed.KEYS or key in KERNELS


def _told(foreign: Foreign, key: str) -> bool:
    """Whether a value of ours names the key's line, or a note the key."""
    line = foreign.lines.get(key)
    return any(note.key == key for note in foreign.notes) or any(
        each.line == line for each in foreign.origins.values() if line is not None
    )


def _uploads(key: str) -> bool:
    return key.startswith(("hub_", "push_to_", "trackio_"))


def _why_not(foreign: Foreign, key: str, arguments: frozenset[str]) -> str:
    value = foreign.data[key]
    if key == "output_dir":
        return "the run directory is outputs/<folder>/<recipe>; an `output_dir` of other files would be refused"
    if key in KERNELS:
        return "kernels change the speed, and TRL has a fused head of its own"
    if key in FIXED:
        return f"set by the toolkit: {FIXED[key]}"
    if key in renamed.KEYS:
        return renamed.KEYS[key].format(value=value).removeprefix("take it away: ")
    if _uploads(key):
        return renamed.NO_UPLOAD.removeprefix("take it away: ")
    if key in ACCELERATE:
        return "accelerate's; `zephyr run` starts it as the section `launch` says"
    near = difflib.get_close_matches(key, [*arguments, *OWNED, *renamed.KEYS], n=1, cutoff=0.8)
    return "no key of TRL's, accelerate's or the handbook's that is known here" + (
        f"; meant `{near[0]}`?" if near else ""
    )


# ------------------------------------------------------------------ writing


def _text(foreign: Foreign, recipe: dict[str, Any]) -> str:
    head = f"Converted by zephyr {zephyr.__version__} from {foreign.file.name}, a recipe of {foreign.dialect.name}."
    lines = [*_comment(head), *_comment("Behind each value: the line that says it, or why it stands there."), "#"]
    lines += [line for each in report(foreign.notes) for line in _comment(each)]
    for key, value in recipe.items():
        lines += (
            ["", *yaml_lines({key: value}, (), foreign.origins)]
            if isinstance(value, dict)
            else yaml_lines({key: value}, (), foreign.origins)
        )
    first = next(n for n, line in enumerate(lines) if line.startswith("stage:"))
    return "\n".join([*lines[:first], "", *lines[first:]]) + "\n"


def report(notes: tuple[Note, ...] | list[Note]) -> list[str]:
    """The notes under their headings, a line each."""
    lines = []
    for kind, heading in HEADINGS.items():
        found = sorted((note for note in notes if note.kind == kind), key=lambda note: note.line or 0)
        lines += [f"{heading}:", *(f"  - {note}" for note in found)] if found else []
    return lines


def _comment(text: str) -> list[str]:
    indent = "    " if text.startswith("  - ") else ""
    return [
        f"# {line}"
        for line in textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    ]


def _check(text: str, foreign: Foreign, template_name: str) -> None:
    """Refuses to hand out a recipe that `zephyr check` would refuse."""
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "converted.yaml"
        draft.write_text(text, encoding="utf-8")
        if foreign.template is not None:
            (Path(folder) / template_name).write_text(foreign.template, encoding="utf-8")
        try:
            load(draft)
        except RecipeError as error:
            mistakes = "\n".join(f"  {each.key}: {each.text}" for each in error.problems)
            raise UserError(
                f"{shown(foreign.file)} can't become a recipe of ours as it is:\n{mistakes}\n"
                "Nothing was written; change these in a copy of it, and convert that"
            ) from None


def convert_command(file: Path, out: Path | None, stage: str | None, processes: int | None) -> None:
    """Writes the recipe to a new file and lists what became of the keys; without a file, prints both.

    Raises:
        UserError: as `convert`, or there is a file of that name.
    """
    template = out.with_suffix(".jinja") if out else None
    for path in (out, template):
        if path and path.exists():
            raise UserError(f"{shown(path)} exists; nothing is overwritten: choose another name with -o")
    made = convert(file, stage, processes, template.name if template else "")
    lines = [line.removeprefix("# ") for each in report(made.notes) for line in _comment(each)]
    if out is None:
        print(made.text, end="")
        print("\n".join(lines), file=sys.stderr)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    if made.template is not None and template:
        template.write_text(made.template, encoding="utf-8")
        print(f"wrote {shown(template)}, its chat template")
    out.write_text(made.text, encoding="utf-8")
    print("\n".join([*lines, "", f"wrote {shown(out)}; next: zephyr plan {shown(out)}"]))
