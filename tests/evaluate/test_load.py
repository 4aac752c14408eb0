"""Models by name: of the Hub, at the commit that the name says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

from zephyr.recipe.references import of_the_hub

COMMITS = ("1" * 40, "2" * 40)
LOADED = """
import sys
from zephyr.evaluate.load import load_model, load_tokenizer
for name in sys.argv[1:]:
    print(load_model(name).config.hidden_size, load_tokenizer(name).chat_template)
"""


@pytest.fixture
def cache(tmp_path: Path, tiny_tokenizer: Path) -> Path:
    """The Hub's cache with two commits of a model, the first of which is its `main`."""
    folder = tmp_path / "hub" / "models--me--small"
    for commit, size in zip(COMMITS, (16, 32), strict=True):
        shape = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 16}
        model = MistralForCausalLM(MistralConfig(vocab_size=400, hidden_size=size, **shape))
        tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer)
        tokenizer.chat_template = f"template of {size}"
        for part in (model, tokenizer):
            part.save_pretrained(folder / "snapshots" / commit)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMITS[0])
    return tmp_path / "hub"


def test_a_name_with_a_revision_is_that_commit(cache: Path) -> None:
    environment = {**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "HF_HOME": str(cache.parent)}
    names = ["me/small", f"me/small@{COMMITS[1]}"]
    done = subprocess.run([sys.executable, "-c", LOADED, *names], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["16 template of 16", "32 template of 32"], done.stderr


def test_a_directory_with_such_a_name_is_a_directory(tmp_path: Path) -> None:
    folder = tmp_path / "model@home"
    assert of_the_hub(str(folder)) == (str(tmp_path / "model"), "home")
    folder.mkdir()
    assert of_the_hub(str(folder)) == (str(folder), None)
