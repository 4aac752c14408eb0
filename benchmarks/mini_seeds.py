"""The mini world over several seeds: is dSFT above base, and dDPO above dSFT, with intervals over seeds?

    .venv/bin/python benchmarks/mini_seeds.py --seeds 1 2 3 4 5 6 7 8 [--recipe RECIPE] [KEY=VALUE ...]

Each seed draws its own facts, data, tokenizer, initialisation and held-out prompts, in its own outputs folder; two
seeds run at a time, one thread each. A seed that has run before is only read back. The page over all seeds is
written to the outputs folder. Last figures: benchmarks/README.md.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path

from zephyr.report.seeds import student_interval

ZEPHYR = Path(sys.executable).parent / "zephyr"


def run_seed(seed: int, recipe: str, outputs: Path, overrides: list[str]) -> dict:
    folder = outputs / str(seed)
    words = [word for each in [f"seed={seed}", *overrides] for word in ("--everywhere", each)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ZEPHYR_CACHE": str(folder / "cache")}
    command = [str(ZEPHYR), "run", recipe, "--with-inputs", "--outputs", str(folder), *words]
    with (outputs / f"{seed}.log").open("w") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log, env=environment)
    return json.loads((folder / Path(recipe).parent.name / Path(recipe).stem / "result.json").read_text())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, nargs="+", required=True)
    options.add_argument("--recipe", default="recipes/mini/evaluate.yaml")
    options.add_argument("--outputs", type=Path, default=Path("outputs/seeds"))
    options.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    arguments = options.parse_args()
    arguments.outputs.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        one = partial(run_seed, recipe=arguments.recipe, outputs=arguments.outputs, overrides=arguments.overrides)
        results = list(pool.map(one, arguments.seeds))
    show(arguments.seeds, [each["scores"] for each in results])
    write_page(arguments)


def write_page(arguments: argparse.Namespace) -> None:
    recipe = Path(arguments.recipe)
    runs = [
        str((arguments.outputs / str(seed) / recipe.parent.name / recipe.stem).resolve()) for seed in arguments.seeds
    ]
    listed = "".join(f"  - {run}\n" for run in runs)
    report = arguments.outputs / "report.yaml"
    report.write_text(f"stage: report\ntitle: The mini world over {len(runs)} seeds\nruns:\n{listed}")
    subprocess.run(
        [str(ZEPHYR), "run", str(report), f"output_dir={arguments.outputs.resolve() / 'report'}"], check=True
    )


def show(seeds: list[int], scores: list[dict]) -> None:
    rows = list(scores[0])
    print(
        f"{'score of 10':<16}"
        + "".join(f"{f'seed {seed}':>9}" for seed in seeds)
        + f"{'mean':>9}{'95 % over seeds':>18}"
    )
    values = {row: [each[row]["world"]["score"] for each in scores] for row in rows}
    for row in rows:
        _line(row, values[row])
    print("difference, paired by seed")
    for before, after in pairwise(rows):
        _line(f"{after} - {before}"[:30], [b - a for a, b in zip(values[before], values[after], strict=True)])
    counted = [each[row]["world"] for each in scores for row in rows]
    print(f"n per seed and row: {counted[0]['n']}; failed in all: {sum(each['n_failed'] for each in counted)}")


def _line(name: str, values: list[float]) -> None:
    mean = sum(values) / len(values)
    low, high = student_interval(values) or (float("-inf"), float("inf"))
    separable = "" if low <= 0 <= high else "  separable from 0"
    print(
        f"{name:<16}"
        + "".join(f"{value:9.2f}" for value in values)
        + f"{mean:9.2f}   [{low:+.2f}, {high:+.2f}]{separable}"
    )


if __name__ == "__main__":
    main()
