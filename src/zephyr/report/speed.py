"""How fast a run trained, and how much of what it computed was real: a table, from what the run measured itself."""

from zephyr.report.read import Run, anchor
from zephyr.report.table import Cell, Table, facts
from zephyr.report.wording import count, duration, number, percent, significant

SHARES = {"time/data": "loading", "time/evaluation": "evaluating", "time/saving": "saving"}
"""Measured beside the steps themselves."""


def speed(run: Run) -> Table | None:
    """Tokens per second, padding, MFU, memory, and where the time went; None of a run that has not trained."""
    if not run.train_rows:
        return None
    real, mfu, memory = (_value(run, key) for key in ("tokens_per_second", "mfu", "peak_memory_gib"))
    padded, computed = _value(run, "tokens/padded"), _value(run, "tokens/computed")
    pairs = "of prompt and answer, of both sides" if run.stage == "dpo" else ""
    return facts(
        f"{anchor(run)}-speed",
        "Speed",
        [
            ("real tokens per second", Cell(real, count(real)) if real else None),
            ("per real token, padded rows have", Cell(padded, number(padded)) if padded else None),
            ("per real token, computed were", Cell(computed, number(computed)) if computed else None),
            ("MFU, share of the devices' peak", Cell(mfu, percent(mfu)) if mfu else None),
            ("time", _time(run)),
            ("reference", _reference(run)),
            ("peak memory of a GPU", Cell(memory, f"{number(memory, 1)} GiB") if memory else None),
        ],
        note=f"Real tokens are those {pairs or 'of the data'}, without padding.",
    )


def _value(run: Run, key: str) -> float | None:
    """The result's number; of a run without it the mean of what was logged."""
    logged = [row[key] for row in run.train_rows if row.get(key) is not None]
    return (run.result.get("numbers") or {}).get(key, sum(logged) / len(logged) if logged else None)


def _time(run: Run) -> Cell | None:
    """`1 min 24 s of steps; beside them 3 % of the time loading, 10 % evaluating`."""
    shares = {word: _value(run, key) for key, word in SHARES.items()}
    beside = [f"{percent(share)} {word}" for word, share in shares.items() if share and share >= 0.005]
    seconds = (run.result.get("numbers") or {}).get("training_s")
    steps = f"{duration(seconds)} of steps" if seconds is not None else "steps"
    if all(share is None for share in shares.values()):
        return None
    text = f"{steps}; of the whole {', '.join(beside)}" if beside else f"{steps}; nothing else took a percent of it"
    return Cell({"training_s": seconds, **{key: _value(run, key) for key in SHARES}}, text)


def _reference(run: Run) -> Cell | None:
    """How many pairs' reference was computed, and how many were known from before."""
    found = run.result.get("reference") or {}
    if not found.get("pairs"):
        return None
    known = found["pairs"] - found["computed"]
    parts = [f"{count(found['computed'])} pairs computed in {significant(found['seconds'], 2)} s"] * bool(
        found["computed"]
    )
    parts += [f"{count(known)} known from before"] * bool(known)
    return Cell(found, ", ".join(parts))
