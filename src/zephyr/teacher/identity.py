"""What a model is, for the key of its answers: two models that could answer differently never share one."""

import hashlib
import json
from pathlib import Path
from typing import Any

from zephyr.errors import UserError
from zephyr.recipe.teacher import LanguageModel

COMMIT_DIGITS = 40
NOT_THE_MODEL = (".md", ".log", ".lock", ".bin.index.json")
"""Ends of files in a model's directory that say nothing about its answers."""


def identity(model: LanguageModel, *, offline: bool = False) -> dict[str, Any]:
    """What the answers of a model are kept under, beside the request.

    Behind an endpoint: the model's name, and either its `revision`, where the recipe states one (then it does not
    matter where it is served), or the `base_url`. A scripted model: the world it knows and the code that it is. In
    this process: the commit on the Hub, or the content of its directory; and how its prompts are written.
    """
    if model.base_url is not None:
        place = {"revision": model.revision} if model.revision else {"base_url": model.base_url.rstrip("/")}
        return {"endpoint": model.model, **place, "body": model.extra_body}
    if model.world is not None:
        return {"scripted": model.model, "world": _world(Path(model.world)), "body": model.extra_body}
    written = {"chat_template": _template(model.chat_template), "empty_system_turn": model.empty_system_turn}
    return {"model": _weights(model, offline=offline), **written}


def _template(chat_template: str) -> str:
    file = Path(chat_template)
    return file.read_text() if file.is_file() else chat_template


def _world(directory: Path) -> str:
    """Hash of a mini world's facts and recipe, and of the code of its scripted answerers."""
    import zephyr.mini

    # the recipe's seed, sizes and habits, as the run resolved them
    files = [directory / "facts.json", directory / "recipe.yaml"]
    files += sorted(Path(zephyr.mini.__file__).parent.glob("*.py"))
    return _hash([file for file in files if file.is_file()])


def _weights(model: LanguageModel, *, offline: bool) -> str:
    directory = Path(model.model)
    if directory.is_dir():
        files = sorted(each for each in directory.iterdir() if each.is_file() and each.suffix not in NOT_THE_MODEL)
        return _hash([each for each in files if not each.name.startswith(".")])
    if model.revision and len(model.revision) == COMMIT_DIGITS:
        return f"{model.model}@{model.revision}"
    return f"{model.model}@{_commit(model, offline=offline)}"


def _commit(model: LanguageModel, *, offline: bool) -> str:
    """The commit that a Hub model's revision stands for now."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    try:
        file = hf_hub_download(model.model, "config.json", revision=model.revision, local_files_only=offline)
    except LocalEntryNotFoundError as error:
        raise UserError(
            f"{model.model}: neither a directory here nor in the Hub's cache, and the Hub can't be reached.\n"
            "  Pin `revision` to a commit: its answers can then be read back without the model"
        ) from error
    except (EntryNotFoundError, HfHubHTTPError, ValueError) as error:
        raise UserError(f"{model.model}: no model directory here, and not found on the Hub ({error})") from error
    return Path(file).parent.name


def _hash(files: list[Path]) -> str:
    """Of the names and contents."""
    parts = []
    for file in files:
        with file.open("rb") as opened:
            parts.append([file.name, hashlib.file_digest(opened, "sha256").hexdigest()])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
