import math

import pytest

from zephyr.report import wording


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (wording.number(-0.154), "−0.15"),
        (wording.number(-0.001), "0.00"),
        (wording.number(None), "–"),
        (wording.number(math.nan), "nan"),
        (wording.number(1234.5), "1,234.50"),
        (wording.signed(0.31), "+0.31"),
        (wording.signed(-0.31), "−0.31"),
        (wording.signed(0.0), "+0.00"),
        (wording.interval([-0.05, 0.67]), "−0.05 to 0.67"),
        (wording.interval(None), "–"),
        (wording.significant(5e-7), "5.00e−7"),
        (wording.significant(0.0123456), "0.0123"),
        (wording.significant(4321), "4,321"),
        (wording.significant(math.inf), "inf"),
        (wording.short(0.002), "0.002"),
        (wording.short(5e-7), "5e−7"),
        (wording.short(-25.0), "−25"),
        (wording.short(1200), "1,200"),
        (wording.short(0), "0"),
        (wording.duration(8.42), "8.4 s"),
        (wording.duration(204), "3 min 24 s"),
        (wording.duration(23866), "6 h 37 min"),
        (wording.times(1, "process", "processes"), "1 process"),
        (wording.times(16, "pair"), "16 pairs"),
    ],
)
def test_numbers_as_a_reader_meets_them(shown, expected):
    assert shown == expected
