"""Which run goes next, and on which devices."""

from pathlib import Path

import pytest

from zephyr.errors import UserError
from zephyr.recipe import load
from zephyr.study.expand import Study, expand
from zephyr.study.run import Queue, next_work
from zephyr.study.slots import Slots, devices_needed, refuse_too_few, slots

TWO_GPUS = ("launch.processes=2", "launch.micro_batch_size=2", "launch.device=a100-80gb")


def study(tiny: Path, *everywhere: str) -> Study:
    (tiny / "study.yaml").write_text("stage: study\ntitle: t\nrecipe: dpo.yaml\ngrid: {beta: [0.1, 0.5]}\n")
    return expand(load(tiny / "study.yaml"), everywhere=everywhere, outputs=tiny / "o")


def test_a_run_waits_for_its_inputs_and_for_devices(tiny: Path) -> None:
    works = study(tiny, *TWO_GPUS).works
    having = Slots(devices=("0", "1", "2"), at_once=3)
    queue = Queue(waiting=list(works), finished=set())
    first = next_work(queue, ["0", "1", "2"], having)
    assert first is works[0] and devices_needed(first.loaded) == 2
    queue.waiting.remove(first)
    assert next_work(queue, ["0", "1", "2"], having) is None  # sft needs cpt
    queue.finished.update(work.loaded.run_dir for work in works[:2])
    queue.waiting.remove(works[1])
    assert next_work(queue, ["0"], having) is None  # one device is not two
    assert next_work(queue, ["0", "2"], having) is works[2]


def test_more_gpus_than_there_are_is_refused_with_the_ways_out(tiny: Path) -> None:
    works = study(tiny, *TWO_GPUS).works
    with pytest.raises(UserError, match=r"needs 2 GPUs at once, and the study has 1 \(3\)[\s\S]*launch.processes=1"):
        refuse_too_few(works[0].loaded, Slots(devices=("3",), at_once=1))


def test_devices_are_those_given_or_those_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    assert slots("0, 2", None) == Slots(devices=("0", "2"), at_once=2)
    assert slots(None, None).devices == ("4", "5")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UserError, match="shows no GPU; on a CPU --jobs"):
        slots("0", None)
    assert slots(None, 2) == Slots(devices=(), at_once=2)
    assert slots(None, None).at_once == 1
    for devices, jobs in (("0,0", None), ("", None), (None, 0)):
        with pytest.raises(UserError):
            slots(devices, jobs)
