from collections.abc import Callable
from pathlib import Path

import pytest
from tests.recipe.texts import DPO, REPORT, SFT

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with four recipes in `lab/` that name each other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZEPHYR_OUTPUTS", raising=False)
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "world.yaml").write_text((CHECKOUT / "recipes/mini/world.yaml").read_text())
    (folder / "sft.yaml").write_text(SFT)
    (folder / "dpo.yaml").write_text(DPO)
    (folder / "report.yaml").write_text(REPORT)
    return folder


@pytest.fixture
def write(lab: Path) -> Callable[[str, str], Path]:
    """Writes a file beside the recipes."""

    def write(name: str, text: str) -> Path:
        path = lab / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write
