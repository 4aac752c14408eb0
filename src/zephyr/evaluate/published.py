"""Files that a benchmark is made of, published by its authors: had once, checked, kept. None is in this package."""

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from zephyr.cache import cache_root
from zephyr.data.tokens.store import locked
from zephyr.errors import UserError

TIMEOUT_S = 60


@dataclass(frozen=True, kw_only=True)
class Published:
    """One file: where its authors keep it, and what it must be."""

    what: str
    """In words, for messages."""
    url: str
    """Where it is."""
    sha256: str
    """Hash of the content that the published scores were made with."""
    licence: str
    """Of the file."""


_FASTCHAT = "https://raw.githubusercontent.com/lm-sys/FastChat/main/fastchat/llm_judge/data"
_ALPACA_EVAL = "https://raw.githubusercontent.com/tatsu-lab/alpaca_eval/main"

MT_BENCH_QUESTIONS = Published(
    what="MT-Bench's questions",
    url=f"{_FASTCHAT}/mt_bench/question.jsonl",
    sha256="119565adbab82227089cefdb44c8d7e2cf04dc0a0ec233634c82e7d4e2a944f7",
    licence="Apache-2.0",
)
MT_BENCH_REFERENCES = Published(
    what="MT-Bench's reference answers",
    url=f"{_FASTCHAT}/mt_bench/reference_answer/gpt-4.jsonl",
    sha256="f957a5bc977badb66885ec970e6cd08527845780313f0995764260e5777b9b3f",
    licence="Apache-2.0",
)
MT_BENCH_JUDGE_PROMPTS = Published(
    what="MT-Bench's prompts for the judge",
    url=f"{_FASTCHAT}/judge_prompts.jsonl",
    sha256="fd283293406d024f44c174b094ef48031d0687a4682fd3a56b29b138f80281b6",
    licence="Apache-2.0",
)
ALPACA_EVAL_PROMPT = Published(
    what="AlpacaEval's prompt for the judge (alpaca_eval_gpt4)",
    url=f"{_ALPACA_EVAL}/src/alpaca_eval/evaluators_configs/alpaca_eval_gpt4/alpaca_eval.txt",
    sha256="cf4bace43fa6ac71944b9ca2506587ad7c509478a219e98a3950abf9d5b42a98",
    licence="Apache-2.0",
)
ALPACA_EVAL_BASELINE = Published(
    what="AlpacaEval's annotations of zephyr-7b-beta, which hold the baseline's answers of version 1",
    # results/text_davinci_003 has other answers now; these are what the published figures were judged on
    url="https://raw.githubusercontent.com/tatsu-lab/alpaca_eval/6c90977fa8d824bbbac12a31eba3b2738e07b2d0"
    "/results/zephyr-7b-beta/annotation_alpaca_eval_gpt4.json",
    sha256="004401fcd0a1faae086ba33c612550334ff6954d1989fbc17c29d4d379c38687",
    licence="CC-BY-NC-4.0",
)


def obtain(file: Published, cache: Path | None = None) -> Path:
    """Where the file is on this machine, downloaded at its first use (`cache`, $ZEPHYR_CACHE or ~/.cache/zephyr).

    Raises:
        UserError: it cannot be had, or what is there now is not what was published.
    """
    target = _target(file, cache)
    if target.is_file() and sha256_of(target) == file.sha256:
        return target
    with locked(target.parent):
        if not (target.is_file() and sha256_of(target) == file.sha256):
            _download(file, target)
    return target


def is_here(file: Published, cache: Path | None = None) -> bool:
    """Whether it was had before."""
    return _target(file, cache).is_file()


def _target(file: Published, cache: Path | None) -> Path:
    return cache_root(cache) / "published" / file.sha256[:16] / Path(file.url).name


def sha256_of(path: Path) -> str:
    """Hash of a file's content."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _download(file: Published, target: Path) -> None:
    try:
        with urllib.request.urlopen(file.url, timeout=TIMEOUT_S) as answer:
            content = answer.read()
    except (urllib.error.URLError, OSError) as error:
        raise UserError(
            f"{file.what} could not be had from {file.url}:\n  {error}\n"
            f"Ways out: a network; or the file by hand, and its path on the recipe; or put at {target}."
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise UserError(
            f"{file.what}: {file.url} now holds something else than was published.\n"
            f"  expected sha256 {file.sha256}\n  found           {found}\n"
            "Scores made with it could not be compared. Way out: the published file, and its path on the recipe."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=target.parent)
    with os.fdopen(handle, "wb") as out:
        out.write(content)
    Path(part).replace(target)
