import pytest

from zephyr.recipe import check_batch


@pytest.mark.parametrize(("whole", "micro", "processes"), [(512, 4, 8), (32, 2, 16), (1, 1, 1), (24, 3, 8)])
def test_what_divides_is_right(whole, micro, processes):
    assert check_batch(whole, micro, processes) is None


@pytest.mark.parametrize(
    ("whole", "micro", "processes", "ways"),
    [
        (128, 3, 8, "`train.global_batch_size` 120 or 144, or `launch.micro_batch_size` 2 or 4"),
        (32, 16, 4, "`train.global_batch_size` 64, or `launch.micro_batch_size` 8, or `launch.processes` 2"),
        (32, 2, 6, "`train.global_batch_size` 24 or 36, or `launch.processes` 4 or 8"),
        (7, 2, 1, "`train.global_batch_size` 6 or 8, or `launch.micro_batch_size` 1 or 7"),
    ],
)
def test_the_nearest_values_that_work_are_named(whole, micro, processes, ways):
    assert str(check_batch(whole, micro, processes)).endswith("; what works: " + ways)


def test_every_way_out_works():
    import re

    for whole in range(1, 40):
        for micro in range(1, 7):
            for processes in range(1, 7):
                said = check_batch(whole, micro, processes)
                if said is None:
                    assert whole % (micro * processes) == 0
                    continue
                for name, numbers in re.findall(r"`\w+\.(\w+)` ([\d or]+)", said.split("what works")[1]):
                    for number in map(int, re.findall(r"\d+", numbers)):
                        values = {"global_batch_size": whole, "micro_batch_size": micro, "processes": processes}
                        assert check_batch(**(values | {name: number})) is None
