"""A fast tokenizer read from its files, without transformers: ids, special tokens, chat template."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zephyr.errors import UserError
from zephyr.recipe.sections import Model

if TYPE_CHECKING:
    import tokenizers

_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "config.json")
_NAMED = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")

_READ_AS_THEY_ARE = {"mistral", "mistral3", "ministral", "ministral3", "mixtral", "phi3", "internlm2", "jamba"}
"""Model types for which transformers ignores a declared `LlamaTokenizer` and takes tokenizer.json as it is."""


@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """A fast tokenizer and what its configuration says."""

    name: str
    """Directory or Hub id it came from."""
    backend: "tokenizers.Tokenizer"
    """The Rust tokenizer."""
    special_tokens: dict[str, str]
    """`eos_token` -> `</s>`, as a chat template reads them."""
    chat_template: str | None
    """The Jinja text it carries."""
    digest: str
    """SHA-256 of its files."""

    @property
    def eos_id(self) -> int:
        """The id that ends an answer."""
        return self._id("eos_token")

    @property
    def bos_id(self) -> int:
        """The id that starts a text."""
        return self._id("bos_token")

    @property
    def eos(self) -> str:
        """The text of the EOS token."""
        return self.special_tokens["eos_token"]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, nothing added to them."""
        return [encoding.ids for encoding in self.backend.encode_batch_fast(texts, add_special_tokens=False)]

    def encode_with_offsets(self, texts: Sequence[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """Ids of each text, and the characters (start, end) that each id stands for."""
        return [(found.ids, found.offsets) for found in self.backend.encode_batch(texts, add_special_tokens=False)]

    def _id(self, name: str) -> int:
        token = self.special_tokens.get(name)
        found = None if token is None else self.backend.token_to_id(token)
        if found is None:
            raise UserError(
                f"{self.name}: the tokenizer has no {name}"
                + (f" ({token} is not in its vocabulary).\n" if token else ".\n")
                + f"Set `{name}` in its tokenizer_config.json, or use another tokenizer with `tokenizer_name_or_path:`."
            )
        return found


def tokenizer_name(model: Model) -> tuple[str, str | None]:
    """Where a recipe's tokenizer is, and its revision."""
    if model.tokenizer_name_or_path:
        return model.tokenizer_name_or_path, None
    if model.model_name_or_path:
        return model.model_name_or_path, model.revision
    raise UserError("model: a random model (`config`) needs a tokenizer. Add `tokenizer_name_or_path:`.")


def load_tokenizer(model: Model, *, local_only: bool = False) -> Tokenizer:
    """The tokenizer of a recipe's model. Raises UserError when it is not there or is not a fast one.

    With `local_only` the network is not asked: a Hub tokenizer is there only if it has been downloaded.
    """
    import tokenizers

    name, revision = tokenizer_name(model)
    found = _local_files(Path(name).expanduser()) or _hub_files(name, revision, local_only)
    content = {file: path.read_bytes() for file, path in found.items()}
    backend = tokenizers.Tokenizer.from_str(content["tokenizer.json"].decode())
    backend.no_padding()
    backend.no_truncation()
    config = {**_json(content, "special_tokens_map.json"), **_json(content, "tokenizer_config.json")}
    if _is_rebuilt(backend, config, _json(content, "config.json")):
        _rebuild_llama(backend, config)
    special = {key: _token(config[key]) for key in _NAMED if config.get(key)}
    # transformers does the same: a token with a name is never split, whether the vocabulary's file marks it or not.
    known = [tokenizers.AddedToken(token, special=True, normalized=False) for token in special.values()]
    backend.add_special_tokens([token for token in known if backend.token_to_id(token.content) is not None])
    return Tokenizer(
        name=name,
        backend=backend,
        special_tokens=special,
        chat_template=_chat_template(content, config),
        digest=_digest(content, backend.to_str()),
    )


def _is_rebuilt(backend: "tokenizers.Tokenizer", config: dict[str, Any], model: dict[str, Any]) -> bool:
    """Whether transformers 5 makes this tokenizer anew as a LlamaTokenizer rather than read tokenizer.json whole."""
    declared = config.get("tokenizer_class") or model.get("tokenizer_class") or ""
    is_byte_level = '"ByteLevel"' in backend.to_str()
    return (
        declared.removesuffix("Fast") == "LlamaTokenizer"
        and not is_byte_level
        and model.get("model_type") not in _READ_AS_THEY_ARE
    )


def _rebuild_llama(backend: "tokenizers.Tokenizer", config: dict[str, Any]) -> None:
    """As `transformers.LlamaTokenizer.__init__`: no normalizer, and a space put before the first word only."""
    from tokenizers import pre_tokenizers

    first = "always" if config.get("legacy", False) else "first"
    scheme = "never" if config.get("add_prefix_space") is False else first
    backend.normalizer = None
    backend.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme=scheme, split=False)


_PROBE = (
    "<|system|>\n{eos}\n<|user|>\n Hello, naïve  wörld 日本 🙂{eos}\n<|assistant|>\n\tdef f(x):\n    return 1{eos}\n"
)
"""A text with what tokenizers differ over: special tokens, line breaks, spaces, letters beyond ASCII."""


def require_same_ids(tokenizer: Tokenizer, encode: Callable[[str], list[int]]) -> None:
    """UserError unless `encode` (the tokenizer that the model will be saved with) gives the ids that data here have."""
    text = _PROBE.format(eos=tokenizer.eos)
    ours, theirs = tokenizer.encode([text])[0], list(encode(text))
    if ours == theirs:
        return
    at = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    raise UserError(
        f"{tokenizer.name}: tokenizer.json gives other ids than transformers' AutoTokenizer does with this directory "
        f"(token {at}: {ours[at : at + 3]} here, {theirs[at : at + 3]} there), so the model would be asked in other "
        "tokens than it was trained in.\nSave the tokenizer once as transformers reads it, "
        "AutoTokenizer.from_pretrained(path).save_pretrained(directory), and set `tokenizer_name_or_path: directory`."
    )


def _local_files(folder: Path) -> dict[str, Path] | None:
    if not folder.exists():
        return None
    found = {file: folder / file for file in _FILES if (folder / file).is_file()}
    if "tokenizer.json" not in found:
        inside = ", ".join(sorted(path.name for path in folder.iterdir())[:12]) if folder.is_dir() else "(a file)"
        raise UserError(
            f"{folder}: holds no tokenizer.json, the file of a fast tokenizer. Found: {inside or 'nothing'}.\n"
            "If it has another kind of tokenizer, convert it once: "
            "AutoTokenizer.from_pretrained(path).save_pretrained(path). "
            "If the model has none, add `tokenizer_name_or_path:` under `model:`."
        )
    return found


def _hub_files(name: str, revision: str | None, local_only: bool) -> dict[str, Path]:
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    found: dict[str, Path] = {}
    for file in _FILES:
        try:
            found[file] = Path(
                huggingface_hub.hf_hub_download(name, file, revision=revision, local_files_only=local_only)
            )
        except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
            absent = isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError)
            if file != "tokenizer.json" and (absent or found):
                continue  # not every model has every file
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(
                f"{name}: is no directory here ({Path.cwd()}), and its {file} could not be had from the Hub:\n"
                f"  {reason}\nCheck the path or id, `revision`, the network and `hf auth login`."
            ) from error
    return found


def _json(content: dict[str, bytes], file: str) -> dict[str, Any]:
    return json.loads(content[file]) if file in content else {}


def _token(value: str | dict[str, Any]) -> str:
    return value if isinstance(value, str) else value["content"]


def _chat_template(content: dict[str, bytes], config: dict[str, Any]) -> str | None:
    """The Jinja text; of several named ones, the one called `default`."""
    if "chat_template.jinja" in content:
        return content["chat_template.jinja"].decode()
    found = config.get("chat_template")
    if isinstance(found, list):
        return next((entry["template"] for entry in found if entry["name"] == "default"), None)
    return found


def _digest(content: dict[str, bytes], backend: str) -> str:
    """Hash of what decides the ids; of the model's configuration only as far as it changed the tokenizer."""
    parts = [f"{file} {hashlib.sha256(data).hexdigest()}" for file, data in content.items() if file != "config.json"]
    parts.append(hashlib.sha256(backend.encode()).hexdigest())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
