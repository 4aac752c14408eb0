"""A tiny model under `transformers serve` as judge: what it writes is no rating, so nothing is scored."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.evaluate.benchmark_files import write_mt_bench
from zephyr.errors import UserError
from zephyr.recipe import load
from zephyr.run import execute

torch = pytest.importorskip("torch")
for package in ("uvicorn", "fastapi"):
    pytest.importorskip(package, reason="needs transformers[serving]")


@contextmanager
def transformers_serve() -> Iterator[str]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    words = [sys.executable, "-m", "transformers.cli.transformers", "serve", "--port", str(port), "--device", "cpu"]
    process = subprocess.Popen(words, env=os.environ | {"HF_HUB_OFFLINE": "1"}, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        for _ in range(900):
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            raise AssertionError("transformers serve did not start")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def test_a_judge_that_cannot_judge_is_refused_not_scored(tiny_tokenizer, tmp_path: Path, monkeypatch):
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    monkeypatch.setenv("ZEPHYR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ZEPHYR_OFFLINE", raising=False)
    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer)
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
    torch.manual_seed(0)
    MistralForCausalLM(
        MistralConfig(vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
                      num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=2048,
                      eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    ).save_pretrained(tmp_path / "judge")  # fmt: skip
    tokenizer.save_pretrained(tmp_path / "judge")
    files = write_mt_bench(tmp_path / "mt_bench", (81, 91))
    with transformers_serve() as base_url:
        text = files.recipe(base_url, judge_max_tokens="16").replace("gpt-4", f"{tmp_path}/judge")
        (tmp_path / "evaluate.yaml").write_text(text)
        loaded = load(tmp_path / "evaluate.yaml", [f"output_dir={tmp_path}/run"])
        with pytest.raises(UserError) as refused:
            execute(loaded)
    assert "4 of 4 MT-Bench judgments of strong (100.00%) came to nothing" in str(refused.value)
    assert not (loaded.run_dir / "result.json").exists()
    assert not (loaded.run_dir / "mt_bench/judgments.jsonl").exists()
    reasons = {line.split()[1] for line in str(refused.value).splitlines() if line.startswith("   ")}
    assert reasons <= {"cut", "no", "empty"}  # it reached its longest, or wrote no rating: not a server that failed
