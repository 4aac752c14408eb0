"""Reference log-probabilities: computed once, never for another model's weights, not lost by a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from safetensors.torch import load_file, save_file
from tests.conftest import write_tiny

from zephyr.errors import UserError
from zephyr.recipe import load
from zephyr.run import execute
from zephyr.train.reference_key import require_unchanged, sha256, stamps
from zephyr.train.reference_store import Writer, folder_of, pair_keys, read
from zephyr.train.stored_reference import by_length

PAIRS = 36
"""Pairs of the tiny recipe: 32 to train on, 4 held out."""


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Path) -> Path:
    """A tiny dSFT model, and recipes that start from it."""
    folder = write_tiny(tmp_path_factory.mktemp("start"), tiny_tokenizer)
    for stage in ("cpt", "sft"):
        recipe = folder / f"{stage}.yaml"
        recipe.write_text(recipe.read_text().replace("num_train_epochs: 6", "num_train_epochs: 1"))
        execute(load(recipe, outputs=folder / "outputs"))
    return folder


@pytest.fixture
def trained(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, with a store of its own."""
    monkeypatch.setenv("ZEPHYR_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "tiny"
    shutil.copytree(start, folder)
    model = shutil.move(folder / "outputs" / start.name / "sft/model", folder / "model")
    (folder / "dpo.yaml").write_text((folder / "dpo.yaml").read_text().replace("sft.yaml", str(model)))
    return folder


def run(folder: Path, name: str, *overrides: str) -> dict:
    words = [f"output_dir={folder}/{name}", "num_train_epochs=1", *overrides]
    return execute(load(folder / "dpo.yaml", words, outputs=folder / "outputs"))


def spoil(folder: Path) -> None:
    """Overwrites the start's weights in place; size and time of change stay what they were."""
    file = folder / "model/model.safetensors"
    before, weights = file.stat(), load_file(file)
    name = "model.layers.0.mlp.down_proj.weight"
    content = file.read_bytes()
    save_file({**weights, name: weights[name].flip(0).contiguous()}, file, metadata={"format": "pt"})
    assert file.stat().st_size == before.st_size and file.read_bytes() != content
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_another_beta_rate_loss_and_seed_share_the_rows(trained: Path):
    first = run(trained, "first")
    assert first["reference"]["pairs"] == first["reference"]["computed"] == PAIRS
    second = run(trained, "second", "beta=0.5", "learning_rate=1e-4", "loss_type=ipo", "seed=5", "num_train_epochs=2")
    assert second["reference"]["computed"] == 0
    assert second["reference"]["digest"] == first["reference"]["digest"]


def test_a_model_overwritten_in_place_is_another_reference(trained: Path):
    first = run(trained, "first")
    spoil(trained)
    second = run(trained, "second")
    assert second["reference"]["computed"] == PAIRS
    for each in (first, second):
        assert each["numbers"]["first_loss"] == pytest.approx(np.log(2), abs=1e-5)


@pytest.mark.skipif(sys.platform != "linux", reason="DeepSpeed on a CPU needs Linux")
def test_overwritten_in_place_under_zero3(trained: Path):
    pytest.importorskip("deepspeed")
    for name, computed in (("first", PAIRS), ("again", 0), ("second", PAIRS)):
        if name == "second":
            spoil(trained)
        words = [str(Path(sys.executable).with_name("zephyr")), "run", "dpo.yaml", f"output_dir={trained}/{name}"]
        words += ["num_train_epochs=1", "launch.processes=2", "launch.strategy=zero3"]
        done = subprocess.run(words, cwd=trained, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        result = json.loads((trained / name / "result.json").read_text())
        assert result["reference"]["computed"] == computed
        assert result["numbers"]["first_loss"] == pytest.approx(np.log(2), abs=1e-5)


KILLED = """
import os, signal, sys
from zephyr.cli import main
from zephyr.train.reference_store import Writer

add, batches = Writer.add, int(sys.argv[1])

def add_or_die(self, keys, logps):
    global batches
    add(self, keys, logps)
    batches -= 1
    if not batches:
        os.kill(os.getpid(), signal.SIGKILL)

Writer.add = add_or_die
sys.exit(main(["run", *sys.argv[2:]]))
"""


def test_killed_in_the_pass_no_row_is_computed_again(trained: Path, tmp_path: Path):
    words = [sys.executable, "-c", KILLED, "3", str(trained / "dpo.yaml"), f"output_dir={trained}/broken"]
    done = subprocess.run([*words, "num_train_epochs=1"], capture_output=True, timeout=300)
    assert done.returncode == -signal.SIGKILL
    files = list((tmp_path / "cache/reference").rglob("*.rows"))
    kept = sum(file.stat().st_size for file in files) // 28
    assert 0 < kept < PAIRS
    with files[0].open("ab") as file:
        file.write(b"half a row")
    result = run(trained, "broken")
    assert result["reference"]["computed"] == PAIRS - kept


def test_a_run_whose_start_was_overwritten_is_not_continued(trained: Path):
    words = ["num_train_epochs=2", "save_steps=4", f"output_dir={trained}/broken"]
    loaded = load(trained / "dpo.yaml", words, outputs=trained / "outputs")
    asked = "import os, signal, sys\nfrom zephyr.cli import main\nfrom zephyr.train.progress import Progress\n" + (
        "begin = Progress.on_step_begin\n"
        "def stop(self, args, state, *rest, **more):\n"
        "    if state.global_step == 6: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    begin(self, args, state, *rest, **more)\n"
        "Progress.on_step_begin = stop\nsys.exit(main(['run', *sys.argv[1:]]))"
    )
    subprocess.run([sys.executable, "-c", asked, str(trained / "dpo.yaml"), *words], capture_output=True, timeout=300)
    assert (loaded.run_dir / "checkpoints/checkpoint-4").is_dir()
    spoil(trained)
    with pytest.raises(UserError, match=r"(?s)can't be continued.*the reference: the files of the model"):
        execute(loaded)
    spoil(trained)  # turned back
    assert execute(load(trained / "dpo.yaml", [*words, "launch.padding_free=false"]))["status"] == "finished"


def test_a_broken_row_is_no_row(tmp_path: Path):
    folder = folder_of({"model": "one"}, tmp_path)
    rows = Dataset.from_list([{"prompt_ids": [1, 2], "chosen_ids": [k], "rejected_ids": [9, k]} for k in range(5)])
    keys, logps = pair_keys(rows), np.arange(10, dtype=np.float32).reshape(5, 2)
    writer = Writer(folder)
    writer.add(keys, logps)
    assert (read(folder, keys[::-1]) == logps[::-1]).all()
    content = bytearray(writer.path.read_bytes())
    content[2 * 28 + 17] ^= 1  # the third row's first log-probability
    writer.path.write_bytes(content[:-1])
    found = read(folder, keys)
    assert np.isnan(found).any(axis=1).tolist() == [False, False, True, False, True]


def test_where_the_answer_starts_is_part_of_a_pair():
    rows = [([1, 2], [3], [4]), ([1], [2, 3], [4]), ([1, 2], [4], [3]), ([1, 2], [3, 4], [])]
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    keys = pair_keys(Dataset.from_list([dict(zip(names, row, strict=True)) for row in rows]))
    assert len(set(keys)) == len(rows)


def test_files_changed_while_loading_are_refused(tmp_path: Path):
    file = tmp_path / "model.safetensors"
    file.write_text("one")
    before, digest = stamps([file]), sha256(file, tmp_path)
    require_unchanged(before, [file])
    file.write_text("two")
    with pytest.raises(Exception, match="overwritten while this run was loading it"):
        require_unchanged(before, [file])
    assert sha256(file, tmp_path) != digest


def test_batches_of_the_pass_are_sorted_and_hold_no_more_than_the_longest_micro_batch():
    lengths = np.array([5, 100, 40, 7, 90, 6])
    batches = by_length(list(range(6)), lengths, 2)
    assert batches == [[1, 4], [2, 3, 5, 0]]
