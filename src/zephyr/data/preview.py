"""`zephyr preview`: the first rows as the model will see them, token by token, and what became of all rows."""

from collections.abc import Iterator, Sequence
from itertools import chain, groupby, islice
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from zephyr.data.counts import by_reason, excerpt
from zephyr.data.prepare import Prepared, TrainRecipe, load_template, prepare
from zephyr.data.readers import Row
from zephyr.data.shapes import Unusable
from zephyr.data.tokens.encode import NO_LOSS, encode_conversations, encode_pairs, encode_texts
from zephyr.data.tokens.template import Template
from zephyr.data.tokens.tokenize import Tokenizer, load_tokenizer
from zephyr.data.tokens.truncate import truncate_pair
from zephyr.data.usable import read_rows
from zephyr.recipe.sections import ChatData, PreferenceData, TextData

_LOSS, _NO_LOSS, _CUT = "+ loss", "  no loss", "- cut off"
_STYLE = {_LOSS: "green", _NO_LOSS: "default", _CUT: "red"}


class Run(NamedTuple):
    """Neighbouring tokens of one kind."""

    kind: str
    """Whether they carry loss, or are cut off."""
    ids: list[int]
    part: str = ""
    """For pairs: prompt, chosen or rejected."""


def preview(recipe: TrainRecipe, n: int = 3, out: Console | None = None) -> None:
    """Show the first `n` usable rows of train, then the counts; raises UserError where the run would."""
    out = out or Console()
    tokenizer = load_tokenizer(recipe.model)
    template = load_template(recipe, tokenizer)
    _show_settings(recipe, tokenizer, out)
    rows = chain.from_iterable(read_rows(recipe.stage, s, recipe.seed) for s in recipe.data.train)
    usable = ((row, value) for row, value in rows if not isinstance(value, Unusable))
    for number, (row, value) in enumerate(islice(usable, n), start=1):
        out.print()
        out.rule(Text(f"row {number} of train · {_place(row)}"), align="left", characters="─")
        for run in _runs(value, recipe, tokenizer, template):
            _show_run(run, tokenizer, out)
    prepared = prepare(recipe)
    out.print()
    _show_counts(recipe, prepared, out)
    _show_unusable(prepared, out)


def _place(row: Row) -> str:
    return f"{row.source}:{row.line}" if row.line else f"{row.source}, row {row.index}"


def _show_settings(recipe: TrainRecipe, tokenizer: Tokenizer, out: Console) -> None:
    data = recipe.data
    said = [f"stage {recipe.stage}", f"tokenizer {tokenizer.name}"]
    if not isinstance(data, TextData):
        said += [f"template {data.chat_template}", f"empty system turn {'yes' if data.empty_system_turn else 'no'}"]
    if isinstance(data, PreferenceData):
        said += [f"max_length {data.max_length}", f"max_prompt_length {data.max_prompt_length}"]
    else:
        said += [f"max_length {data.max_length}", f"packing {data.packing}"]
    if isinstance(data, ChatData):
        said.append(f"loss on {data.loss_on}")
    out.print(Text(" · ".join(said)))
    key = Text("Tokens: ")
    for kind in (_LOSS, _NO_LOSS, _CUT):
        key.append(f"{kind.strip()}   ", _STYLE[kind])
    key.append("In token lists · is a space and ⏎ a line break.")
    out.print(key)


# One row


def _runs(value: Any, recipe: TrainRecipe, tokenizer: Tokenizer, template: Template | None) -> Iterator[Run]:
    data = recipe.data
    if isinstance(data, PreferenceData):
        assert template is not None
        return _pair_runs(value, data, tokenizer, template)
    if isinstance(data, ChatData):
        assert template is not None
        row = encode_conversations([value], data, tokenizer, template)[0]
    else:
        row = encode_texts([value], data, tokenizer)[0]
    window = data.max_length if data.packing == "none" else len(row.ids)
    return _kinds(row.ids.tolist(), row.labels.tolist(), window)


def _kinds(ids: list[int], labels: list[int], window: int) -> Iterator[Run]:
    def kind(position: int) -> str:
        return _CUT if position >= window else _NO_LOSS if labels[position] == NO_LOSS else _LOSS

    for found, positions in groupby(range(len(ids)), key=kind):
        yield Run(found, [ids[position] for position in positions])


def _pair_runs(value: Any, data: PreferenceData, tokenizer: Tokenizer, template: Template) -> Iterator[Run]:
    whole = encode_pairs([value], data, tokenizer, template)[0].pair
    kept = truncate_pair(whole, data.max_length, data.max_prompt_length)
    lost = len(whole.prompt) - len(kept.prompt)
    if lost:
        yield Run(_CUT, list(whole.prompt[:lost]), "prompt, its start")
    yield Run(_NO_LOSS, list(kept.prompt), "prompt")
    for part, before, after in (("chosen", whole.chosen, kept.chosen), ("rejected", whole.rejected, kept.rejected)):
        yield Run(_LOSS, list(after), part)
        if len(after) < len(before):
            yield Run(_CUT, list(before[len(after) :]), f"{part}, its end")


def _show_run(run: Run, tokenizer: Tokenizer, out: Console) -> None:
    style = _STYLE[run.kind]
    size = f"{len(run.ids):,} token{'s' if len(run.ids) != 1 else ''}"
    out.print(Text(" · ".join(filter(None, (run.kind, run.part, size))), style=f"bold {style}"))
    lines = Table.grid(padding=(0, 1))
    lines.add_column(width=3, justify="right")
    lines.add_column(ratio=1)
    text = tokenizer.backend.decode(run.ids, skip_special_tokens=False).removesuffix("\n")
    for line in _middle_out(text.split("\n"), 8, 4, "lines") if text else []:
        lines.add_row(Text(run.kind[0], style), Text(_printable(_shortened(line, 400)), style))
    shown = _middle_out([f"{id} {_token(id, tokenizer)}" for id in run.ids], 12, 4, "tokens")
    lines.add_row("", Text(" | ".join(shown), style="dim"))
    out.print(lines)


def _middle_out(items: Sequence[str], first: int, last: int, what: str) -> list[str]:
    """The items, with the middle left out when there are many."""
    left_out = len(items) - first - last
    if left_out <= 1:
        return list(items)
    return [*items[:first], f"… {left_out:,} more {what} …", *items[-last:]]


def _shortened(line: str, length: int) -> str:
    if len(line) <= length:
        return line
    half = length // 2
    return f"{line[:half]} … {len(line) - 2 * half:,} more characters … {line[-half:]}"


def _token(id: int, tokenizer: Tokenizer) -> str:
    """One token for a person to read: a part of a character is shown by the tokenizer's own name of it."""
    text = tokenizer.backend.decode([id], skip_special_tokens=False)
    name = tokenizer.backend.id_to_token(id) or ""
    if "\ufffd" in text:
        text = name
    elif name.startswith("▁"):  # SentencePiece's space, which decoding one token alone drops
        text = name.replace("▁", " ")
    return _printable(text.replace("\n", "⏎").replace(" ", "·"))


def _printable(text: str) -> str:
    """Text that cannot steer a terminal: other control characters are shown, not sent."""
    return "".join(c if c.isprintable() or c in "\t" else repr(c)[1:-1] for c in text)


# All rows


def _show_counts(recipe: TrainRecipe, prepared: Prepared, out: Console) -> None:
    pairs = isinstance(recipe.data, PreferenceData)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for split in prepared.counts:
        table.add_column(split, justify="right")
    for heading, value in _figures(pairs):
        table.add_row(heading, *(value(counts) for counts in prepared.counts.values()))
    out.print(table)


def _figures(pairs: bool) -> list[tuple[str, Any]]:
    unit = "pairs" if pairs else "sequences"
    figures: list[tuple[str, Any]] = [
        ("rows read", lambda c: f"{c.rows_read:,}"),
        ("rows used", lambda c: f"{c.rows_used:,}"),
        ("rows unusable", lambda c: f"{sum(c.unusable.values()):,}"),
        (unit, lambda c: f"{c.sequences:,}"),
        ("tokens an epoch", lambda c: f"{c.tokens:,}"),
        ("of them with loss", lambda c: f"{c.loss_tokens:,} ({_share(c.loss_tokens, c.tokens)})"),
        ("rows cut to the window", lambda c: f"{c.truncated_rows:,} ({_share(c.truncated_rows, c.rows_used)})"),
        ("tokens cut off", lambda c: f"{c.dropped_tokens:,}"),
        ("rows with EOS in their own text", lambda c: f"{c.eos_inside:,}"),
        ("tokens, mean of " + unit, lambda c: f"{c.mean_length:,}"),
        ("tokens, longest of " + unit, lambda c: f"{c.longest:,}"),
    ]
    if pairs:
        parts = "prompt + chosen + rejected"
        figures.insert(5, (parts, lambda c: f"{c.prompt_tokens:,} + {c.chosen_tokens:,} + {c.rejected_tokens:,}"))
    return figures


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0 %"


def _show_unusable(prepared: Prepared, out: Console) -> None:
    if not prepared.unusable:
        return
    out.print()
    out.print(Text(f"{len(prepared.unusable):,} rows are left out:", style="bold"))
    for reason, n in by_reason(prepared.unusable).items():
        out.print(Text(f"  {n:>6,}  {reason}"))
        for row in [row for row in prepared.unusable if row.reason == reason][:2]:
            out.print(Text(f"          {row.split} {row.where}: {_printable(excerpt(row.excerpt, 90))}", style="dim"))
    out.print(Text(f"All of them: {prepared.folder / 'unusable.jsonl'}"))
