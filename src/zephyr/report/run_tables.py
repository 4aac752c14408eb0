"""Tables of what ran and with what: recipe, batch, data, numbers, versions, hardware, inputs."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zephyr.report.read import Run, anchor
from zephyr.report.table import Cell, Column, Table, facts, words
from zephyr.report.wording import MISSING, count, duration, number, significant, times

STAGES = {
    "world": "The mini world: facts, corpus, instructions, prompts, scripted teachers, held-out prompts",
    "cpt": "Continued pretraining on plain text",
    "dialogues": "Dialogues with a teacher, who answers and asks on",
    "filter": "Dialogues worth training on: truecased, without refusals and duplicates",
    "sft": "dSFT: supervised fine-tuning on a teacher's dialogues",
    "feedback": "AI feedback: several models answer, a judge scores",
    "binarize": "Pairs of a chosen and a rejected answer",
    "dpo": "dDPO: direct preference optimization on AI feedback",
    "evaluate": "Answers to held-out prompts, judged",
}


def overview(runs: Sequence[Run]) -> Table:
    """One row per run: how much it trained on, how long, and its loss before and after."""
    rows = []
    for run in runs:
        batch, tokens = run.result.get("batch", {}), run.result.get("numbers", {}).get("tokens_seen")
        first, last = first_and_last_loss(run)
        before, after = before_and_after(run, "loss")
        rows.append(
            (
                words(run.name),
                words(STAGES.get(run.stage, run.stage)),
                Cell(batch.get("steps"), count(batch.get("steps"))),
                Cell(tokens, count(tokens)),
                Cell([first, last], arrow(first, last)),
                Cell([before, after], arrow(before, after)),
                Cell(run.result.get("wall_s"), duration(run.result.get("wall_s"))),
                words("finished" if run.finished else "not finished"),
            )
        )
    columns = (
        Column("run"),
        Column("what it does"),
        Column("steps", True),
        Column("tokens trained on", True),
        Column("loss, first to last", True),
        Column("held-out loss, before and after", True),
        Column("time", True),
        Column("state"),
    )
    together = f"Together {duration(sum(run.result.get('wall_s', 0) for run in runs))}."
    return Table(id="runs", title="What ran", columns=columns, rows=tuple(rows), note=together)


def arrow(before: float | None, after: float | None, digits: int = 3) -> str:
    """Two numbers, before and after; a dash when neither is known."""
    if before is None and after is None:
        return MISSING
    return f"{number(before, digits)} → {number(after, digits)}"


def first_and_last_loss(run: Run) -> tuple[float | None, float | None]:
    """Training loss of the first step (or first logged rows) and of the last logged rows."""
    logged = [row["loss"] for row in run.train_rows]
    first = run.result.get("numbers", {}).get("first_loss", logged[0] if logged else None)
    return first, logged[-1] if logged else None


def before_and_after(run: Run, metric: str) -> tuple[float | None, float | None]:
    """A held-out metric before training and at its end: the result's, else the first and last evaluation's."""
    key, numbers = f"eval_{metric}", run.result.get("numbers", {})
    logged = [row for row in run.eval_rows if key in row]
    started = logged[0][key] if logged and logged[0].get("step") == 0 else None
    ended = logged[-1][key] if logged and logged[-1].get("step") != 0 else None
    return numbers.get(f"{key}_before", started), numbers.get(key, ended)


def data_counts(run: Run) -> Table | None:
    """Rows read, used and not usable, sequences, tokens and what was cut, by split; None when nothing was counted."""
    splits = {
        split: counts for split, counts in run.result.get("data", {}).items() if isinstance(counts, dict) and counts
    }
    names = [key for key in _COUNTS if any(key in counts for counts in splits.values())]
    if not names:
        return None
    rows = [
        (words("training" if split == "train" else "held-out" if split == "eval" else split), *map(_counted, counts_of))
        for split, counts_of in ((split, [(counts, key) for key in names]) for split, counts in splits.items())
    ]
    columns = (Column("split"), *(Column(_COUNTS[key], True) for key in names))
    reasons: Counter[str] = Counter()
    for counts in splits.values():
        reasons.update(counts.get("unusable") or {})
    note = "Not usable: " + ", ".join(f"{reason} {count(n)}" for reason, n in reasons.items()) + "." if reasons else ""
    return Table(id=f"{anchor(run)}-data", title="Data", columns=columns, rows=tuple(rows), note=note)


_COUNTS = {
    "rows_read": "rows read",
    "rows_used": "used",
    "unusable": "not usable",
    "sequences": "sequences",
    "tokens": "tokens",
    "loss_tokens": "with loss",
    "truncated_rows": "rows truncated",
    "dropped_tokens": "tokens dropped",
}


def _counted(found: tuple[dict[str, Any], str]) -> Cell:
    counts, key = found
    value = counts.get(key)
    total = sum(value.values()) if isinstance(value, dict) else value
    return Cell(total, count(total))


HELD_OUT = {
    "loss": "loss",
    "mean_token_accuracy": "next tokens guessed right",
    "rewards/accuracies": "preference accuracy",
    "rewards/margins": "reward margin",
    "rewards/chosen": "reward, chosen",
    "rewards/rejected": "reward, rejected",
    "logps/chosen": "log-probability, chosen",
    "logps/rejected": "log-probability, rejected",
}


def held_out(run: Run) -> Table | None:
    """The held-out metrics before training and at its end; None when there is no held-out data."""
    found = {title: before_and_after(run, metric) for metric, title in HELD_OUT.items()}
    rows = tuple(
        (words(title), Cell(before, number(before, 3)), Cell(after, number(after, 3)))
        for title, (before, after) in found.items()
        if before is not None or after is not None
    )
    columns = (Column("on held-out data"), Column("before", True), Column("after", True))
    # of equal rewards TRL calls neither the higher, so that an untrained policy has accuracy 0, not 1/2
    note = (
        "Before, policy and reference are equal: all rewards are 0, and a tie counts as wrong."
        if run.stage == "dpo"
        else ""
    )
    title = "Before and after"
    return Table(id=f"{anchor(run)}-held-out", title=title, columns=columns, rows=rows, note=note) if rows else None


def numbers(run: Run) -> Table | None:
    """Every number of result.json; None when there is none."""
    found = run.result.get("numbers") or {}
    rows = tuple((words(key), Cell(value, significant(value, 4))) for key, value in found.items())
    columns = (Column("number"), Column("value", True))
    return Table(id=f"{anchor(run)}-numbers", title="Numbers", columns=columns, rows=rows) if rows else None


def provenance(run: Run) -> Table | None:
    """Versions, hardware, commit, command and the files that went in; None when nothing was recorded."""
    record = run.provenance
    if not record:
        return None
    hardware = record.get("hardware") or {}
    versions = ", ".join(f"{name} {version}" for name, version in (record.get("packages") or {}).items())
    pairs: list[tuple[str, Cell | str | None]] = [
        ("command", record.get("command")),
        ("recipe", record.get("recipe_file")),
        ("run directory", str(run.directory)),
        ("run id", run.run_id),
        ("started, finished", f"{record.get('started', MISSING)}, {record.get('finished') or 'not finished'}"),
        ("zephyr", f"{record.get('zephyr', MISSING)}{_commit(record)}"),
        ("Python and packages", f"Python {record.get('python', MISSING)}, {versions}"),
        ("hardware", hardware_in_words(hardware)),
        *((f"input: {each['field']}", f"{each['path']} (run {each['run_id']})") for each in record.get("inputs", [])),
        *((f"file: {Path(each['path']).name}", _file(each)) for each in record.get("data", [])),
        ("chat template", f"sha256 {record['template_sha256'][:16]}" if record.get("template_sha256") else None),
    ]
    return facts(f"{anchor(run)}-provenance", "Provenance", pairs)


def hardware_in_words(hardware: dict[str, Any]) -> str | None:
    """`2 cores of Intel Xeon, 8 GiB; 1 GPU: NVIDIA A100`."""
    if not hardware:
        return None
    gpus = hardware.get("gpus") or []
    cores = times(hardware["cores"], "core") if hardware.get("cores") else "cores"
    shown = f"{cores} of {hardware.get('cpu') or 'an unnamed processor'}, {number(hardware.get('memory_gib'), 1)} GiB"
    return f"{shown}; {times(len(gpus), 'GPU')}: {', '.join(gpus)}" if gpus else f"{shown}; no GPU"


def _commit(record: dict[str, Any]) -> str:
    if not record.get("commit"):
        return ""
    return f", commit {record['commit'][:12]}" + (" with uncommitted changes" if record.get("dirty") else "")


def _file(source: dict[str, Any]) -> str:
    rows = times(source["rows"], "row") if source.get("rows") is not None else "rows not counted"
    return f"{source['path']}, {rows}, sha256 {(source.get('sha256') or MISSING)[:16]}"
