"""Pages in headless Chromium."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
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
