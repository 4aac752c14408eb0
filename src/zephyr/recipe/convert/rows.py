"""What a foreign recipe's scripts do to the rows: template, system turn, lengths, packing, which tokens carry loss."""

import json
from pathlib import Path

from zephyr.recipe.convert.keys import Foreign
from zephyr.recipe.convert.origin import MIXER, MIXTURE, TRL


def rows(foreign: Foreign) -> None:
    """The keys of `data` but for the data sets."""
    _template(foreign)
    _lengths(foreign)
    _packing(foreign)


def _template(foreign: Foreign) -> None:
    dialect, kind = foreign.dialect, foreign.kind
    if foreign.stage != "cpt":
        text, path = foreign.get("chat_template"), foreign.get("chat_template_path")
        if isinstance(text, str) and "{" in text:
            foreign.template = text
            foreign.note("renamed", "`data.chat_template`, a file of its own beside the recipe", "chat_template")
        elif path is not None and _file(foreign, path):
            foreign.template = _file(foreign, path).read_text(encoding="utf-8")  # type: ignore[union-attr]
            foreign.note("renamed", "`data.chat_template`, copied beside the recipe", "chat_template_path")
        else:
            foreign.put("data.chat_template", dialect.chat_template[kind], because="what its script falls back to")
            foreign.note(
                "default",
                f"`data.chat_template: {dialect.chat_template[kind]}`"
                + (
                    ", for a tokenizer that carries none; write `tokenizer` for one that does"
                    if dialect.chat_template[kind] == "zephyr"
                    else ", the one that the tokenizer carries"
                ),
            )
            if path is not None:
                foreign.note("lost", f"{path} is no local file; save its template as one", "chat_template_path")
        foreign.carry("data.empty_system_turn", "auto_insert_empty_system_msg", default=dialect.empty_system_turn)
    for key, value in (("add_bos_token", dialect.add_bos_token), ("append_eos_token", dialect.append_eos_token)):
        wanted = value[kind] or (foreign.stage == "cpt" and key == "append_eos_token")
        foreign.put(f"data.{key}", wanted, because="what its trainer does")
        foreign.note("default", f"`data.{key}: {json.dumps(wanted)}`, as its trainer does")


def _file(foreign: Foreign, path: str) -> Path | None:
    return next((base / path for base in (foreign.file.parent, Path.cwd()) if (base / path).is_file()), None)


def _lengths(foreign: Foreign) -> None:
    dialect = foreign.dialect
    whole = foreign.carry("data.max_length", "max_length", "max_seq_length", default=dialect.max_length[foreign.kind])
    if foreign.stage != "dpo" or not isinstance(whole, int):
        return
    default = min(dialect.max_prompt_length or whole, max(whole // 2, 1))
    given = foreign.given("max_prompt_length")
    foreign.carry("data.max_prompt_length", "max_prompt_length", default=default)
    if dialect is TRL and not given:
        foreign.note(
            "moved",
            f"TRL cuts prompt and answer to their first {whole} tokens together, and drops pairs whose "
            f"prompt fills them; here a pair that is too long keeps the last {default} of its prompt "
            "(`data.max_prompt_length`)",
        )
    elif dialect is MIXTURE:
        foreign.note(
            "moved",
            "its TRL cut prompts to `max_prompt_length` always; here only where prompt and answer together "
            "exceed `max_length`",
            given or "",
        )


def _packing(foreign: Foreign) -> None:
    if foreign.stage == "dpo":
        return
    packing, strategy = foreign.get("packing"), foreign.get("packing_strategy")
    if packing is None:
        foreign.put("data.packing", foreign.dialect.packing, because="what its script does")
        foreign.note(
            "default",
            f"`data.packing: {foreign.dialect.packing}`"
            + (", which its script hard-coded" if foreign.dialect is MIXER else ""),
        )
    else:
        ours = "none" if not packing else "bfd_split" if strategy == "bfd_split" else "wrapped"
        foreign.put("data.packing", ours, key="packing")
        foreign.note("renamed", f"`data.packing: {ours}`", "packing")
    if packing and foreign.dialect is not MIXER and strategy not in ("wrapped", "bfd_split"):
        foreign.note(
            "moved",
            f"`{strategy or 'bfd'}` packs whole conversations into rows and cuts or drops what is too long; "
            "`wrapped` joins them and cuts every `max_length` tokens: nothing is lost, and a row may hold "
            "parts of two. Steps and loss differ",
            "packing_strategy" if strategy else "packing",
        )
    if foreign.stage == "sft":
        _loss_on(foreign)


def _loss_on(foreign: Foreign) -> None:
    assistant, completion = foreign.get("assistant_only_loss"), foreign.get("completion_only_loss")
    value = "assistant" if assistant is True else "completion" if completion is True else "all"
    key = (
        foreign.given("assistant_only_loss")
        if assistant is True
        else "completion_only_loss"
        if completion is True
        else None
    )
    foreign.put("data.loss_on", value, key=key, because="what its trainer does")
    if key:
        foreign.note("renamed", f"`data.loss_on: {value}`", key)
    else:
        pairs = "; TRL trains rows of `prompt` and `completion` on the completion alone: write `completion` for these"
        foreign.note("default", "`data.loss_on: all`" + (pairs if foreign.dialect is not MIXER else ""))
