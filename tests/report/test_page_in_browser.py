"""The page in headless Chromium: nothing in the console, every picture drawn, nothing fetched."""

import re

import pytest
from tests.browser import CHROMIUM, chromium, measured

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")

from zephyr.report.stage import report_directory

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (apt-get install chromium)")


def test_nothing_in_the_console(runs, tmp_path):
    done = chromium(report_directory(runs["evaluate"]), tmp_path / "profile")
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    assert "<h1>mini/evaluate</h1>" in done.stdout


def test_the_console_would_be_seen(runs, tmp_path):
    page = report_directory(runs["evaluate"])
    page.write_text(page.read_text().replace("</body>", "<script>1</script></body>"))  # its own policy forbids scripts
    assert "CONSOLE" in chromium(page, tmp_path / "profile").stderr


def test_all_pictures_are_drawn_and_nothing_is_fetched(runs, tmp_path):
    found = measured(report_directory(runs["evaluate"]), tmp_path / "profile")
    # 3 for cpt, 3 for dSFT, 7 for dDPO, 2 of the scores
    assert len(found["pictures"]) == 15
    assert all(width > 150 and height > 80 for width, height in found["pictures"])
    assert all(lines >= 5 for lines in found["lines"])  # axes, grid and curves, in a colour that resolved
    assert all(width > 0 for width in found["images"])
    assert found["fetched"] == []
    assert found["dead"] == 0  # no entry of the contents leads nowhere


def test_the_page_is_no_wider_than_a_phone(runs, tmp_path):
    found = measured(report_directory(runs["evaluate"]), tmp_path / "profile", "--window-size=500,900")
    assert found["overflow"] <= 0


def test_nothing_refers_to_the_network(runs):
    page = report_directory(runs["evaluate"]).read_text()
    assert re.findall(r'(?:src|href|url\()\s*=?\s*["\']?(?:https?:)?//', page) == []
