"""Pushing a run: the real client of the Hub against a server on this machine."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import write_tiny
from tests.fake_hub import GOOD_TOKEN, Hub, start
from zephyr.publish import what_to_send
from zephyr.recipe import load
from zephyr.run import execute


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Path) -> Path:
    """A finished run, below a folder whose name is nobody's business."""
    folder = tmp_path_factory.mktemp("secret person") / "tiny"
    folder.mkdir()
    write_tiny(folder, tiny_tokenizer)
    loaded = load(folder / "cpt.yaml", ["num_train_epochs=1"], outputs=folder / "outputs")
    execute(loaded)
    return loaded.run_dir


@pytest.fixture
def run_dir(made: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may damage; its files still name the place where it was made."""
    return shutil.copytree(made, tmp_path / "outputs" / "tiny" / "cpt")


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub, server = start()
    yield hub
    server.shutdown()
    server.server_close()


def zephyr_push(hub: Hub, *words: str | Path, token: str | None = GOOD_TOKEN, **more: str) -> tuple[int, str, str]:
    """`zephyr push` as typed, in a process of its own: the client reads the environment when it is imported."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    environment = {
        **kept, "HF_ENDPOINT": hub.endpoint, "HF_HOME": "/nonexistent", "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
        **({"HF_TOKEN": token} if token else {}), **more,
    }  # fmt: skip
    command = [sys.executable, "-m", "zephyr", "push", *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def test_a_run_is_pushed_in_one_commit(hub, run_dir):
    status, said, wrong = zephyr_push(hub, run_dir, "--to", "me/tiny-cpt")
    assert status == 0, wrong
    repository = hub.repositories["me/tiny-cpt"]
    names = {path.name for path in (run_dir / "model").iterdir()} | {"recipe.yaml", "result.json"}
    assert set(repository.files) == names and repository.commits == ["zephyr push: tiny/cpt"]
    assert repository.files["model.safetensors"] == (run_dir / "model" / "model.safetensors").read_bytes()
    assert all(name in said for name in names) and f"{hub.endpoint}/me/tiny-cpt (public" in said
    assert said.index("model.safetensors") < said.index("done:")


def test_after_a_broken_connection_the_same_command_completes(hub, run_dir):
    hub.drop = ["^PUT /lfs/", "/commit/main"]  # the client tries the first again by itself
    status, _, wrong = zephyr_push(hub, run_dir, "--to", "me/tiny-cpt")
    assert status == 1 and "The same command again goes on from there" in wrong and "Traceback" not in wrong
    assert hub.repositories["me/tiny-cpt"].files == {}, "a commit is whole or not at all"
    sent = hub.asked("^PUT /lfs/")
    status, _, wrong = zephyr_push(hub, run_dir, "--to", "me/tiny-cpt")
    assert status == 0, wrong
    assert hub.asked("^PUT /lfs/") == sent == 2, "weights that the Hub has are not sent again"
    assert "model.safetensors" in hub.repositories["me/tiny-cpt"].files


def test_no_path_of_this_machine_leaves_it(hub, run_dir, made):
    shutil.copy(run_dir / "model" / "config.json", run_dir / "model" / "adapter_config.json")
    settings = {"base_model_name_or_path": str(made.parents[2] / "base model")}
    (run_dir / "model" / "adapter_config.json").write_text(json.dumps(settings))
    status, said, wrong = zephyr_push(hub, run_dir, "--to", "me/tiny-cpt")
    assert status == 0, wrong
    assert "this adapter's base is a directory of this machine" in said
    for name, content in hub.repositories["me/tiny-cpt"].files.items():
        for private in (b"secret", str(Path.home()).encode() + b"/", b"/tmp/", str(run_dir).encode()):
            assert private not in content, name
    card = hub.repositories["me/tiny-cpt"].files["README.md"].decode()
    assert 'pipeline("text-generation", model="me/tiny-cpt")' in card and "| data | text.jsonl |" in card
    recipe = hub.repositories["me/tiny-cpt"].files["recipe.yaml"].decode()
    assert "resolved:" not in recipe and "learning_rate: 0.01" in recipe and "path: text.jsonl" in recipe


def test_what_was_trained_is_sent_byte_for_byte(run_dir):
    changed = {each.name for each in what_to_send(run_dir, "me/x") if each.text is not None}
    assert {"README.md", "recipe.yaml"} <= changed <= {"README.md", "recipe.yaml", "tokenizer_config.json"}


def test_a_dry_run_sends_nothing_and_needs_no_token(hub, run_dir):
    status, said, wrong = zephyr_push(hub, run_dir, "--dry-run", token=None, HF_HUB_OFFLINE="1")
    assert status == 0, wrong
    assert hub.requests == [] and "YOU/tiny-cpt" in said and "model.safetensors" in said and "nothing was sent" in said


def test_without_a_name_it_is_the_account_and_the_run(hub, run_dir):
    assert zephyr_push(hub, run_dir, "--private")[0] == 0
    assert hub.repositories["me/tiny-cpt"].private


def test_a_public_repository_is_not_taken_for_a_private_one(hub, run_dir):
    assert zephyr_push(hub, run_dir, "--to", "me/x")[0] == 0
    hub.requests.clear()
    status, _, wrong = zephyr_push(hub, run_dir, "--to", "me/x", "--private")
    assert status == 1 and "exists and is public; nothing was sent" in wrong
    assert hub.asked("PUT|commit") == 0


@pytest.mark.parametrize(
    ("prepare", "words", "more", "said"),
    [
        (lambda d: (d / "result.json").unlink(), (), {}, "not finished (it has no result.json)"),
        (lambda d: (d / "recipe.yaml").unlink(), (), {}, "is no run directory"),
        (lambda d: shutil.rmtree(d / "model"), (), {}, "made no model"),
        (lambda d: None, (), {"token": None}, "no token for the Hub is here: `hf auth login`"),
        (lambda d: None, ("--to", "me/x"), {"token": "hf_bad"}, "the Hub refuses the token (401: "),
        (lambda d: None, (), {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        (lambda d: None, ("--to", "nobody"), {}, "USER/NAME is expected"),
        (lambda d: None, ("--to", "me/x"), {"HF_ENDPOINT": "http://127.0.0.1:9"}, "The same command again"),
    ],
)
def test_what_cannot_be_pushed_is_refused_in_a_sentence(hub, run_dir, prepare, words, more, said):
    prepare(run_dir)
    status, _, wrong = zephyr_push(hub, run_dir, *words, **more)
    assert status == 1 and said in wrong and "Traceback" not in wrong
    assert hub.asked("PUT|commit") == 0
