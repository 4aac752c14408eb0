"""`zephyr push`: a finished run's model to the Hugging Face Hub. Only when asked, and never while training.

One commit, so that a repository never holds half a model. What was sent before a connection broke is not sent again:
the Hub keeps it, and the same command completes the commit. Paths of this machine are taken out of every text first.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zephyr.errors import UserError
from zephyr.recipe.problems import shown

TEXTS = ("README.md", "recipe.yaml", "result.json", "config.json", "generation_config.json", "adapter_config.json",
         "tokenizer_config.json")  # fmt: skip
"""Files that are read for paths of this machine; all others (weights, vocabulary, template) go as they are."""
EXTRA = ("recipe.yaml", "result.json")
"""Files of the run directory that go beside the model."""
HIDDEN = (".", "~")
NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
PATH = re.compile(r"(?<![\w./:~@-])/(?:[\w.@+,=-]+/)+[\w.@+-]+")
SYSTEM = ("/usr/", "/bin/", "/etc/", "/lib", "/dev/", "/proc/", "/sys/")


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One file of the repository-to-be."""

    name: str
    """Its path in the repository."""
    path: Path
    """The local file."""
    text: bytes | None = None
    """What is sent instead of it, where paths were taken out."""

    @property
    def size(self) -> int:
        """Bytes that are sent."""
        return len(self.text) if self.text is not None else self.path.stat().st_size


def push(run_dir: Path, to: str | None, *, private: bool = False, dry_run: bool = False) -> None:
    """Prints what goes where, and sends it.

    Args:
        run_dir: of a finished training run.
        to: `USER/NAME`. Default: the account of the token, and a name made of the run directory's.
        private: make the repository private; one that exists and is public is refused.
        dry_run: print only; needs no token and no network.

    Raises:
        UserError: the run is not finished, or no token is here, or the Hub refuses or can't be reached.
    """
    _require_finished(run_dir)
    if to is not None and not NAME.fullmatch(to):
        raise UserError(f"--to {to}: USER/NAME is expected, of letters, digits, `-`, `_` and `.`")
    api = None if dry_run else _api()
    repository = to or f"{'YOU' if api is None else _account(api)}/{_default_name(run_dir)}"
    uploads = what_to_send(run_dir, repository)
    _announce(run_dir, uploads, repository, private=private)
    if api is None:
        print("nothing was sent (--dry-run)")
        return
    print(f"done: {_send(api, uploads, repository, run_dir, private=private)}")


def _require_finished(run_dir: Path) -> None:
    if not (run_dir / "recipe.yaml").is_file():
        raise UserError(f"{shown(run_dir)} is no run directory (it has no recipe.yaml)")
    if not (run_dir / "result.json").is_file():
        raise UserError(f"{shown(run_dir)}: the run is not finished (it has no result.json), so nothing is pushed; "
                        "the command that started it continues it")  # fmt: skip
    if not (run_dir / "model").is_dir():
        raise UserError(f"{shown(run_dir)}: this run made no model; cpt, sft and dpo do")


def _default_name(run_dir: Path) -> str:
    return re.sub(r"[^\w.-]+", "-", f"{run_dir.parent.name}-{run_dir.name}").strip("-.")


# ------------------------------------------------------------------ what is sent


def what_to_send(run_dir: Path, repository: str) -> list[Upload]:
    """The files of `model/`, the recipe and the result, without the paths of this machine."""
    model = run_dir / "model"
    files = {str(each.relative_to(model)): each for each in sorted(model.rglob("*")) if each.is_file()}
    files |= {name: run_dir / name for name in EXTRA}
    known = _known_paths(run_dir)
    return [
        Upload(name=name, path=path, text=_without_paths(path, run_dir, repository, known))
        for name, path in files.items()
        if not name.startswith(HIDDEN)
    ]


def _without_paths(path: Path, run_dir: Path, repository: str, known: set[str]) -> bytes | None:
    """The file's text if it must be changed before it is sent, None if not."""
    if path.name not in TEXTS:
        return None
    before = path.read_text(encoding="utf-8")
    text = before
    if path.name == "recipe.yaml":  # its last section is for zephyr on this machine alone
        text = text.partition("\n# Written and read by zephyr alone")[0].partition("\nresolved:\n")[0].rstrip() + "\n"
    if path.name == "README.md":  # how to load it, wherever the run was when its card was written
        text = re.sub(r'\b(model|tokenizer)="/[^"]*/model"', rf'\1="{repository}"', text)
    for each in sorted(known, key=len, reverse=True):
        text = text.replace(each, _public(Path(each), run_dir, repository))
    above = {str(folder) for each in known for folder in Path(each).parents if len(folder.parts) > 2}
    for each in sorted(above, key=len, reverse=True):
        text = text.replace(f"{each}/", ".../")
    text = PATH.sub(lambda match: _public_if_here(match[0], run_dir, repository), text)
    return None if text == before else text.encode()


def _known_paths(run_dir: Path) -> set[str]:
    """Absolute paths that the run's own files name, whatever characters they hold."""
    found: set[str] = {str(run_dir / "model"), str(run_dir)}
    for name in ("recipe.yaml", "provenance.json"):
        file = run_dir / name
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            found |= set(_strings(json.loads(text) if name.endswith("json") else _yaml(text)))
    return {each for each in found if each.startswith("/") and each.count("/") > 1}


def _yaml(text: str) -> Any:
    import yaml

    return yaml.safe_load(text)


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for each in pair for text in _strings(each)]
    if isinstance(value, list):
        return [text for each in value for text in _strings(each)]
    return [value] if isinstance(value, str) else []


def _public(path: Path, run_dir: Path, repository: str) -> str:
    """What a path of this machine is called outside: the repository, a path from here or from home, or its name."""
    if path == run_dir / "model":
        return repository
    for base in (run_dir, Path.cwd(), Path.home()):
        if path.is_relative_to(base) and path != base and base != Path("/"):
            return str(path.relative_to(base))
    return path.name


def _public_if_here(text: str, run_dir: Path, repository: str) -> str:
    """The same for a path found in a text, if it is one of this machine; anything else stays."""
    path = Path(text)
    private = not text.startswith(SYSTEM) and (path.is_relative_to(Path.home()) or path.exists())
    return _public(path, run_dir, repository) if private and path != Path("/") else text


def _announce(run_dir: Path, uploads: list[Upload], repository: str, *, private: bool) -> None:
    visibility = "private" if private else "public, unless it exists already and is private"
    print(f"{shown(run_dir)} -> {_endpoint()}/{repository} ({visibility})")
    width = max(len(each.name) for each in uploads)
    for each in uploads:
        changed = "   paths of this machine taken out" if each.text is not None else ""
        print(f"  {each.name:<{width}}  {_bytes(each.size):>10}{changed}")
    print(f"  {len(uploads)} files, {_bytes(sum(each.size for each in uploads))}", flush=True)
    adapter = run_dir / "model" / "adapter_config.json"
    base = str(json.loads(adapter.read_text()).get("base_model_name_or_path")) if adapter.is_file() else ""
    if base.startswith("/"):
        print("  this adapter's base is a directory of this machine, so nobody else can load it: push the base too and "
              "name it in adapter_config.json, or `zephyr merge` first")  # fmt: skip


def _bytes(n: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n < 1024 or unit == "GiB":
            return f"{n:,.0f} {unit}" if unit == "B" else f"{n:,.1f} {unit}"
        n /= 1024
    raise AssertionError


# ------------------------------------------------------------------ the Hub


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _api() -> Any:
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.constants import HF_HUB_OFFLINE

    if HF_HUB_OFFLINE:
        raise UserError("HF_HUB_OFFLINE is set, so nothing can be pushed; unset it, or look first with --dry-run")
    if get_token() is None:
        raise UserError("no token for the Hub is here: `hf auth login` once, or HF_TOKEN in the environment (one with "
                        "write access, from https://huggingface.co/settings/tokens)")  # fmt: skip
    return HfApi()


def _account(api: Any) -> str:
    return str(_asked(lambda: api.whoami()["name"], "asking whose token this is"))


def _send(api: Any, uploads: list[Upload], repository: str, run_dir: Path, *, private: bool) -> str:
    from huggingface_hub import CommitOperationAdd

    _asked(lambda: api.create_repo(repository, private=private or None, exist_ok=True), f"creating {repository}")
    if private and not _asked(lambda: api.repo_info(repository).private, f"looking at {repository}"):
        raise UserError(f"{repository} exists and is public; nothing was sent. Make it private on the Hub, "
                        "choose another name with --to, or leave out --private")  # fmt: skip
    operations = [CommitOperationAdd(each.name, each.text if each.text is not None else each.path) for each in uploads]
    commit = _asked(
        lambda: api.create_commit(
            repository, operations, commit_message=f"zephyr push: {run_dir.parent.name}/{run_dir.name}"
        ),
        f"sending the files to {repository}",
    )
    return str(commit.commit_url)


def _asked(request: Any, doing: str) -> Any:
    """The Hub's answer; a refusal or a broken connection as an error that says how to go on."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    try:
        return request()
    except HfHubHTTPError as error:
        code = error.response.status_code if error.response is not None else 0
        said = str(error.server_message or error).strip().splitlines()[0]
        if code in (401, 403):
            raise UserError(
                f"{doing}: the Hub refuses the token ({code}: {said}); it needs write access there"
            ) from None
        raise UserError(f"{doing}: the Hub answered {code} ({said}). {_AGAIN}") from None
    except (HTTPError, OSError, RuntimeError) as error:
        raise UserError(f"{doing}: {_first_line(error)}. {_AGAIN}") from None


_AGAIN = "The same command again goes on from there: what the Hub has is not sent twice"


def _first_line(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]
