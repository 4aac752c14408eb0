"""The page in headless Chromium: nothing in the console, every picture drawn, nothing fetched."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")

from zephyr.report.stage import report_directory

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (apt-get install chromium)")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--v=0", "--window-size=1200,4000",
)  # fmt: skip
MEASURE = """<pre id="measured"></pre><script>
const all = (what, within = document) => [...within.querySelectorAll(what)];
const size = box => box.width + box.height;
const drawn = line => getComputedStyle(line).stroke.startsWith("rgb") && size(line.getBBox()) > 0;
const box = it => { const r = it.getBoundingClientRect(); return [r.width, r.height]; };
all("details").forEach(it => it.open = true);
document.getElementById("measured").textContent = JSON.stringify({
  images: [...document.images].map(it => it.naturalWidth),
  pictures: all("svg").map(box),
  lines: all("svg").map(it => all("path, use", it).filter(drawn).length),
  fetched: performance.getEntriesByType("resource").map(it => it.name),
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  dead: all("a[href^='#']").filter(it => !document.querySelector(it.getAttribute("href"))).length,
});
</script>"""


def chromium(page: Path, profile: Path, *more: str) -> subprocess.CompletedProcess:
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", *more, "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def measured(page: Path, profile: Path, *more: str) -> dict:
    """What a script finds in a copy of the page that allows scripts."""
    text = page.read_text().replace("default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';")
    copy = page.with_name("measured.html")
    copy.write_text(text.replace("</body>", MEASURE + "</body>"))
    dom = chromium(copy, profile, *more).stdout
    return json.loads(html.unescape(re.search(r'<pre id="measured">(.*?)</pre>', dom, re.DOTALL).group(1)))


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
