"""An endpoint's key is sent to it, and is nowhere else: no file, no log, no error."""

from pathlib import Path

import pytest

from tests.teacher.asking import ask_all, call, model_at
from tests.teacher.server import serving
from zephyr.errors import UserError
from zephyr.teacher.call import Answer, Failure
from zephyr.teacher.endpoint import without_key

KEY = "sk-test-4f9c2d7e81b35a60-Zq7"


def pieces_in(folder: Path) -> list[Path]:
    """Files that hold the key, or more than its first few letters; the server's own log is not ours."""
    return [each for each in folder.rglob("*") if each.is_file() and KEY[8:20].encode() in each.read_bytes()]


@pytest.mark.parametrize("wrong", [False, True])
def test_a_key_is_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture, caplog, wrong: bool
):
    monkeypatch.setenv("SOME_KEY", KEY)
    with serving(tmp_path / "log", requires_key="another" if wrong else KEY) as url, caplog.at_level("DEBUG"):
        model = model_at(url, api_key_env="SOME_KEY", max_attempts=1)
        if wrong:  # the server repeats all our headers in its error
            ((_, found),) = ask_all(model, [call("a")], tmp_path / "run")
            assert isinstance(found, Failure) and "***" in found.detail and KEY[8:20] not in found.detail
            with pytest.raises(UserError) as error:
                list(ask_all(model, [call(str(n)) for n in range(100)], tmp_path / "run"))
            assert "is the key in $SOME_KEY right?" in str(error.value) and KEY[8:20] not in str(error.value)
        else:
            ((_, found),) = ask_all(model, [call("a")], tmp_path / "run")
            assert isinstance(found, Answer)
    said = capfd.readouterr()
    assert KEY[8:20] not in said.out + said.err + caplog.text
    assert pieces_in(tmp_path) == []


def test_a_missing_key_is_an_error_before_the_first_call(tmp_path: Path):
    with serving(tmp_path / "log") as url:
        with pytest.raises(UserError, match="export NOT_SET_HERE_2="):
            list(ask_all(model_at(url, api_key_env="NOT_SET_HERE_2"), [call("a")], tmp_path / "run"))
        assert (tmp_path / "log").read_text() == ""


def test_the_clients_own_variables_are_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without `api_key_env` no key goes out, though openai's client would take OPENAI_API_KEY."""
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, KEY)
    with serving(tmp_path / "log", always="401") as url:
        ((_, found),) = ask_all(model_at(url), [call("a")], tmp_path / "run")
    assert isinstance(found, Failure) and "Incorrect API key provided: None" in found.detail
    assert KEY not in found.detail and "***" not in found.detail


@pytest.mark.parametrize(
    "said", [f"key {KEY}.", f"Incorrect API key provided: {KEY[:8]}*******{KEY[-4:]}. Find", f'{{"key": "{KEY}"}}']
)
def test_pieces_of_a_key_are_put_out_of_sight(said: str):
    cleaned = without_key(said, KEY)
    assert KEY[:8] not in cleaned and KEY[-4:] not in cleaned
