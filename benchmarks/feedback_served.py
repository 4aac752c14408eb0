"""AI feedback with a real model server: a pool of small trained models behind `transformers serve`, the world's judge.

    .venv/bin/pip install 'transformers[serving]'
    .venv/bin/zephyr run recipes/mini/feedback.yaml --with-inputs      # makes the world and the pool
    .venv/bin/python benchmarks/feedback_served.py outputs/mini [--prompts 40]

The recipe is recipes/mini/feedback.yaml with every model of the pool at one endpoint. Shown: what became of the
prompts, means by model, and that the same run again sends nothing.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import teacher_served

from zephyr.data.feedback.stage import run
from zephyr.recipe.feedback import FeedbackRecipe, Judging
from zephyr.recipe.sections import Source
from zephyr.recipe.teacher import LanguageModel, Sampling

POOL = {"early": "pool/early", "raw": "pool/raw", "sft": "sft", "careful": "pool/careful"}


def recipe(outputs: Path, base_url: str, n_prompts: int) -> FeedbackRecipe:
    models = {name: outputs / place / "model" for name, place in POOL.items()}
    there = {name: place for name, place in models.items() if (place / "config.json").is_file()}
    if len(there) < 2:
        raise SystemExit(f"{outputs}: no models of the mini world's pool here; run recipes/mini/feedback.yaml first")
    return FeedbackRecipe(
        stage="feedback",
        seed=1,
        prompts=[Source(path=str(outputs / "world" / "prompts.jsonl"), rows=n_prompts)],
        pool={
            name: LanguageModel(model=str(place.resolve()), base_url=base_url, max_concurrency=4, timeout_s=300)
            for name, place in there.items()
        },
        answers_per_prompt=len(there),
        min_answers=2,
        sampling=Sampling(temperature=1.0, max_tokens=48),
        judge=LanguageModel(model="judge", world=str(outputs / "world"), max_concurrency=4),
        judging=Judging(max_tokens=4000),
        max_set_aside_share=1.0,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("outputs", type=Path, help="run directories of the mini recipes")
    parser.add_argument("--prompts", type=int, default=40)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ZEPHYR_CACHE"] = str(Path(folder) / "cache")
        port = teacher_served.free_port()
        server = teacher_served.started(port)
        try:
            given = recipe(arguments.outputs, f"http://127.0.0.1:{port}/v1", arguments.prompts)
            asked_once(given, Path(folder) / "first")
        finally:
            server.terminate()
            server.wait()
        # the server is gone: everything comes from disk
        again = asked_once(given, Path(folder) / "again", offline=True)
        same = all(
            (Path(folder) / "first" / name).read_bytes() == (Path(folder) / "again" / name).read_bytes()
            for name in ("feedback.jsonl", "set_aside.jsonl")
        )
        print(f"again, the server gone: {again['requests']} requests, the same bytes: {same}")


def asked_once(given: FeedbackRecipe, run_dir: Path, *, offline: bool = False) -> dict:
    run_dir.mkdir()
    os.environ.pop("ZEPHYR_OFFLINE", None)
    if offline:
        os.environ["ZEPHYR_OFFLINE"] = "1"
    started = time.monotonic()
    result = run(given, run_dir)
    asked = result["asked"]
    print(f"{time.monotonic() - started:.0f} s, {asked['calls']} calls, {asked['requests']} requests")
    print(f"  scored {result['counts']['scored']} of {result['counts']['prompts']}; {result['counts']['set_aside']}")
    print(f"  answers that failed: {result['counts']['failed_answers']}")
    for name, each in result["feedback"]["models"].items():
        print(f"  {name:8} {each['answers']:4} answers, mean {each['score']:.2f}, {each['characters']:.0f} characters")
    print(f"  predicted {asked['predicted']['n_calls']} calls, {asked['predicted']['prompt_tokens']} tokens in")
    return asked


if __name__ == "__main__":
    main()
