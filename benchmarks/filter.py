"""The filters on real text: dialogues per second and core, memory, and how many planted benchmark questions are found.

    .venv/bin/python benchmarks/filter.py speed --pairs train.jsonl test.jsonl --dialogues 8000
    .venv/bin/python benchmarks/filter.py decontaminate --data ../shared/data

`speed` joins real questions and answers (rows with `prompt`, `chosen`, `rejected`) to dialogues of UltraChat's size,
filters them with the shipped recipe's filters in one process, and extrapolates to all of UltraChat. `decontaminate`
plants every question of the benchmarks in real text in six ways, and looks for questions where none was planted.
Last figures: benchmarks/README.md.
"""

import argparse
import gzip
import json
import random
import re
import resource
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from zephyr.data.filter.decontaminate import in_text
from zephyr.data.filter.duplicates import Seen, near_signature
from zephyr.data.filter.questions import Index, build_index
from zephyr.data.filter.stage import run
from zephyr.data.shapes import recognise
from zephyr.recipe import load
from zephyr.recipe.filter import Decontaminate, NearDuplicates, Questions

ULTRACHAT, ULTRACHAT_BYTES = 1_468_348, 9.29e9
RECIPE = Path(__file__).parents[1] / "recipes/zephyr-7b-beta/filter.yaml"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = options.add_subparsers(required=True)
    speed = commands.add_parser("speed")
    speed.add_argument("--pairs", type=Path, nargs="+", required=True)
    speed.add_argument("--benchmarks", type=Path, help="the folder of `decontaminate`: its questions are looked for")
    speed.add_argument("--dialogues", type=int, default=8000)
    speed.add_argument("--workers", type=int, default=1)
    speed.add_argument("--folder", type=Path, default=Path("outputs/filter_speed"))
    speed.set_defaults(command=measure_speed)
    planted = commands.add_parser("decontaminate")
    planted.add_argument("--data", type=Path, required=True)
    planted.set_defaults(command=measure_decontamination)
    arguments = options.parse_args()
    arguments.command(arguments)


# Speed


def measure_speed(arguments: argparse.Namespace) -> None:
    folder = arguments.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    n_bytes = write_dialogues(arguments.pairs, folder / "raw.jsonl", arguments.dialogues)
    recipe = load(RECIPE, [f"data.train=[{{path: {folder / 'raw.jsonl'}}}]", f"workers={arguments.workers}"]).recipe
    known = benchmarks_in(arguments.benchmarks) if arguments.benchmarks else {}
    look = Decontaminate(benchmarks=known) if known else None
    recipe = replace(recipe, filters=replace(recipe.filters, decontaminate=look))
    started, cpu = time.perf_counter(), time.process_time()
    result = run(recipe, folder)
    wall, own = time.perf_counter() - started, time.process_time() - cpu
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = own + children.ru_utime + children.ru_stime
    print(json.dumps(result["numbers"]))
    scale = ULTRACHAT_BYTES / n_bytes
    print(
        f"{arguments.dialogues:,} dialogues, {n_bytes / arguments.dialogues:,.0f} bytes each, "
        f"{arguments.workers} worker(s)"
    )
    print(f"wall {wall:.1f} s, CPU {used:.1f} s: {arguments.dialogues / used:,.0f} dialogues/s per core, "
          f"{n_bytes / used / 1e6:.2f} MB/s per core")  # fmt: skip
    print(f"UltraChat by bytes: {used * scale / 3600:.2f} core hours; by dialogues: "
          f"{used * ULTRACHAT / arguments.dialogues / 3600:.2f}")  # fmt: skip
    print(f"peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f} MB")
    measure_index()


def write_dialogues(files: Iterable[Path], target: Path, count: int) -> int:
    """Dialogues of two to five real exchanges, four in the mean, in UltraChat's raw shape; returns their bytes."""
    exchanges = []
    for file in files:
        for line in file.read_text().splitlines():
            row = json.loads(line)
            exchanges += [(row["prompt"], row[side]) for side in ("chosen", "rejected")]
    draw = random.Random(1)
    with target.open("w") as out:
        for n in range(count):
            said = [text for pair in draw.sample(exchanges, draw.choice((2, 3, 4, 4, 5, 5))) for text in pair]
            said[0] = f"{said[0]} ({n})"
            out.write(json.dumps({"id": str(n), "data": said}, ensure_ascii=False) + "\n")
    return target.stat().st_size


def measure_index(rows: int = 100_000) -> None:
    """Memory and time of the index of near duplicates, on prompts that are all different."""
    draw = random.Random(1)
    settings = NearDuplicates(on="prompt", max_similarity=0.8)
    prompts = [" ".join(str(draw.randrange(10**6)) for _ in range(30)) for _ in range(1000)]
    seen, before, spent = Seen(settings), resident_bytes(), 0.0
    for n in range(rows):
        text = f"{n} {prompts[n % 1000]} {' '.join(str(draw.random()) for _ in range(30))}"
        signature = near_signature([{"role": "user", "content": text}], settings)
        started = time.perf_counter()
        seen.similar(signature, n)
        seen.equal(n.to_bytes(16, "big"), n)
        spent += time.perf_counter() - started
    each = (resident_bytes() - before) / rows
    print(f"index of duplicates: {each:,.0f} bytes and {spent / rows * 1e6:.1f} us per dialogue; "
          f"all of UltraChat: {each * ULTRACHAT / 1e9:.2f} GB, {spent / rows * ULTRACHAT:.0f} s")  # fmt: skip


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


# Decontamination


def benchmarks_in(data: Path) -> dict[str, Questions]:
    return {
        "truthfulqa": Questions(path=str(data / "benchmarks/truthfulqa_mc_task.json")),
        "gsm8k": Questions(path=str(data / "benchmarks/gsm8k_test.jsonl")),
        "mmlu": Questions(path=str(data / "benchmarks/mmlu"), heading=False),
        "arc": Questions(path=str(data / "benchmarks/arc")),
        "mt_bench": Questions(path=str(data / "mt_bench/question.jsonl")),
        "alpaca_eval": Questions(path=str(data / "alpaca_eval/text_davinci_003/model_outputs.json")),
    }


def measure_decontamination(arguments: argparse.Namespace) -> None:
    settings = Decontaminate(benchmarks=benchmarks_in(arguments.data))
    index = build_index(settings, seed=1)
    texts = real_texts(arguments.data)
    fillers = [text for text in texts["UltraFeedback, prompts"] if len(text) > 200]
    print(f"{len(index.questions):,} questions: {dict(Counter(each.benchmark for each in index.questions))}")
    for name, plant in plantings(fillers).items():
        report_recall(name, plant, settings, index)
    for name, several in texts.items():
        found = [(text, hit) for text in several if (hit := in_text(text, settings, index))]
        print(f"{name}: {len(found)} of {len(several):,} texts hold a question ({len(found) / len(several):.2%})")
        for text, hit in found[:20]:
            print(f"    {hit.reason} | {hit.text[:100]} | {' '.join(text.split())[:160]}")


def plantings(fillers: list[str]) -> dict[str, Callable[[str, random.Random], str]]:
    def changed(question: str, draw: random.Random) -> str:
        words = question.split()
        for _ in range(max(1, len(words) // 10)):
            words[draw.randrange(len(words))] = "another"
        return " ".join(words)

    def embedded(question: str, draw: random.Random) -> str:
        return f"{draw.choice(fillers)}\n\n{question}\n\n{draw.choice(fillers)}"

    return {
        "exact": lambda question, draw: question,
        "upper case": lambda question, draw: question.upper(),
        "no punctuation": lambda question, draw: re.sub(r"[^\w\s]", "", question.lower()),
        "between two other texts": embedded,
        "one word in ten another": changed,
        "one word in ten another, between two other texts": lambda question, draw: embedded(
            changed(question, draw), draw
        ),
        "one word in ten left out": lambda question, draw: " ".join(
            word for n, word in enumerate(question.split()) if n % 10 != 5
        ),
    }


def report_recall(name: str, plant: Callable[[str, random.Random], str], settings: Decontaminate, index: Index) -> None:
    draw = random.Random(1)
    missed: Counter[str] = Counter()
    long = [each for each in index.questions if len(each.words) >= settings.min_near_words]
    for question in index.questions:
        if in_text(plant(question.text, draw), settings, index) is None:
            missed["short" if len(question.words) < settings.min_near_words else "long"] += 1
    short = len(index.questions) - len(long)
    print(f"planted, {name}: of {len(long):,} with {settings.min_near_words} words or more "
          f"{len(long) - missed['long']:,} found ({1 - missed['long'] / len(long):.2%}); "
          f"of {short:,} shorter {short - missed['short']:,} ({1 - missed['short'] / short:.2%})")  # fmt: skip


def real_texts(data: Path) -> dict[str, list[str]]:
    """Texts that benchmarks weren't planted in, by where they are from."""
    found: dict[str, list[str]] = {}
    rows = [json.loads(line) for name in ("train", "test") for line in (data / f"ultrafeedback/{name}.jsonl").open()]
    found["UltraFeedback, prompts"] = [row["prompt"] for row in rows]
    found["UltraFeedback, answers"] = [row[side] for row in rows for side in ("chosen", "rejected")]
    with gzip.open(data / "dialogues/hh_rlhf_harmless_test.jsonl.gz") as lines:
        transcripts = [json.loads(line)["chosen"] for line in lines]
    found["HH-RLHF, turns"] = [turn["content"] for text in transcripts for turn in spoken({"messages": text})]
    alpaca = json.loads((data / "dialogues/alpaca_en_demo.json").read_text())
    found["Alpaca, turns"] = [turn["content"] for row in alpaca for turn in spoken(row)]
    return found


def spoken(row: dict[str, Any]) -> list[dict[str, str]]:
    return recognise("sft", row).convert(row)


if __name__ == "__main__":
    main()
