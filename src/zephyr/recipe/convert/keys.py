"""A foreign recipe's keys on their way into ours, and the sections `model` and `adapter` made of them."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from zephyr.recipe import renamed
from zephyr.recipe.convert.origin import Dialect
from zephyr.recipe.keys import keys_of
from zephyr.recipe.problems import Origin, Parts, split
from zephyr.recipe.reader import NUMBER, scalar

Kind = Literal["moved", "lost", "default", "renamed"]
WORDS = {"yes": True, "on": True, "no": False, "off": False, "none": None}
"""What YAML 1.1, which the others read, makes of a word that is text to us (`None` was never a null, but is meant)."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """What became of a key, in a sentence."""

    kind: Kind
    """`moved`: means something else here; `lost`: not carried; `default`: was unsaid; `renamed`: the same elsewhere."""
    text: str
    key: str = ""
    line: int | None = None

    def __str__(self) -> str:
        where = f"{self.key} (line {self.line}): " if self.line else f"{self.key}: " if self.key else ""
        return where + self.text


@dataclass(frozen=True, kw_only=True)
class Because(Origin):
    """The origin of a value that no line of the foreign recipe says."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass
class Foreign:
    """A recipe of another toolkit on its way into ours."""

    data: dict[str, Any]
    lines: dict[str, int | None]
    file: Path
    dialect: Dialect
    stage: str
    recipe: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    template: str | None = None
    """Text of a chat template that must be written to a file of its own."""

    @property
    def kind(self) -> str:
        """The stage, `sft` for `cpt` too: by which the dialect's defaults are found."""
        return "dpo" if self.stage == "dpo" else "sft"

    def given(self, *keys: str) -> str | None:
        """The first of the keys that says something; all of them are dealt with."""
        self.seen.update(keys)
        return next((key for key in keys if self._value(key) is not None), None)

    def get(self, *keys: str) -> Any:
        """What the first of the keys says, None where none does; all of them are dealt with."""
        key = self.given(*keys)
        return None if key is None else self._value(key)

    def _value(self, key: str) -> Any:
        value = self.data.get(key)
        if isinstance(value, str) and value.lower() in WORDS and not key.endswith("_strategy"):
            return WORDS[value.lower()]
        return scalar(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value

    def put(self, place: str, value: Any, *, key: str | None = None, because: str | None = None) -> None:
        """Writes a value of our recipe, with the line or the reason behind it."""
        parts: Parts = split(place)
        here: Any = self.recipe
        for part in parts[:-1]:
            here = here.setdefault(part, {})
        here[parts[-1]] = value
        origin = Because(text=because or "") if key is None else Origin(file=self.file, line=self.lines[key])
        self.origins[place] = origin
        if isinstance(value, list) and value and isinstance(value[0], str):
            self.origins[f"{place}[0]"] = origin  # a comment stands behind a value, not behind the head of a list

    def note(self, kind: Kind, text: str, key: str = "") -> None:
        """Says what became of a key."""
        self.notes.append(Note(kind=kind, text=text, key=key, line=self.lines.get(key)))

    def carry(self, place: str, *keys: str, default: Any = None) -> Any:
        """Takes a value over as it is; without one, the default that it had there, written out."""
        key = self.given(*keys)
        if key is None:
            if default is not None:
                self.put(place, default, because=f"default of {self.dialect.name.partition(' (')[0]}")
                self.note("default", f"`{place}: {as_yaml(default)}`")
            return default
        value = self._translated(place, key, self._value(key))
        self.put(place, value, key=key)
        if place.rpartition(".")[2] != key:
            self.note("renamed", f"`{place}`", key)
        return value

    def _translated(self, place: str, key: str, value: Any) -> Any:
        """A word that is written differently here, as `renamed.py` knows it."""
        schema = keys_of(self.stage).get(place)
        word = str(value).lower()
        if schema is None or not schema.choices or word in schema.choices:
            return word if schema and word in schema.choices else value
        advice = renamed.VALUES.get(schema.leaf, {}).get(word, "")
        found = re.search(r"`(\w+)`", advice)
        if found is None or found[1] not in schema.choices:
            return value
        self.note("moved", f"`{value}` became `{place}: {found[1]}` ({advice})", key)
        return found[1]


def as_yaml(value: Any) -> str:
    """A value as a reader of YAML would write it."""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


# ------------------------------------------------------------------ model and adapter


def model(foreign: Foreign) -> None:
    """The section `model`."""
    extra = foreign.get("model_init_kwargs")
    for key, value in (extra if isinstance(extra, dict) else {}).items():
        foreign.data.setdefault(key, value)
        foreign.lines.setdefault(key, foreign.lines["model_init_kwargs"])
    foreign.carry("model.model_name_or_path", "model_name_or_path")
    revision = foreign.carry("model.revision", "model_revision", "revision")
    if revision in (None, "main"):
        found = "`main` is a branch" if revision else "no revision is given"
        foreign.note("moved", f"{found}, so the weights may change under the name; pin a commit in `model.revision`")
    foreign.carry("model.tokenizer_name_or_path", "tokenizer_name_or_path")
    foreign.carry("model.dtype", "dtype", "torch_dtype", default="float32")
    attention = foreign.given("attn_implementation")
    known = keys_of(foreign.stage)["model.attn_implementation"].choices
    if attention and foreign.data[attention] not in known:
        foreign.note(
            "lost", f"`{foreign.data[attention]}` is not there; `auto` takes FlashAttention-2 or SDPA", attention
        )
    elif attention:
        foreign.carry("model.attn_implementation", attention)
    flash = foreign.given("use_flash_attention_2")
    if flash and foreign.data[flash] is True and not attention:
        foreign.put("model.attn_implementation", "flash_attention_2", key=flash)
        foreign.note("renamed", "`model.attn_implementation: flash_attention_2`", flash)
    if foreign.get("trust_remote_code") is True:
        foreign.put("model.trust_remote_code", True, key="trust_remote_code")
    if foreign.given("base_model_revision"):
        foreign.note("lost", "an adapter names its own base model", "base_model_revision")
    adapter(foreign)
    _quantization(foreign)


ADAPTER_KEYS = ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "use_dora", "use_rslora",
                "lora_modules_to_save", "lora_target_parameters", "lora_task_type", "load_in_4bit", "load_in_8bit",
                "bnb_4bit_quant_type", "use_bnb_nested_quant", "bnb_4bit_quant_storage")  # fmt: skip


def adapter(foreign: Foreign) -> None:
    """The section `adapter`, where `use_peft` is true."""
    given = [key for key in ADAPTER_KEYS if foreign.given(key)]
    if foreign.get("use_peft") is not True:
        for key in given:
            foreign.note("lost", "without `use_peft: true` it did nothing there", key)
        return
    foreign.note("renamed", "section `adapter`", "use_peft")
    if foreign.get("use_dora") is True:
        foreign.put("adapter.method", "dora", key="use_dora")
    rank = foreign.carry("adapter.r", "lora_r", default=16)
    alpha = foreign.carry("adapter.lora_alpha", "lora_alpha", default=32)
    foreign.carry("adapter.lora_dropout", "lora_dropout", default=0.05)
    if foreign.get("use_rslora") is True:
        scaled = round(alpha * math.sqrt(rank), 6)
        foreign.put("adapter.lora_alpha", scaled, because=f"{as_yaml(alpha)} x sqrt({rank}): use_rslora")
        foreign.note(
            "moved", f"scaling by alpha / sqrt(r) became `adapter.lora_alpha: {as_yaml(scaled)}`", "use_rslora"
        )
    modules = foreign.get("lora_target_modules")
    if modules in ("all-linear", ["all-linear"]):
        foreign.put("adapter.target_modules", "all-linear", key="lora_target_modules")
    elif modules is not None:
        foreign.put(
            "adapter.target_modules", [modules] if isinstance(modules, str) else modules, key="lora_target_modules"
        )
    else:
        foreign.put("adapter.target_modules", ["q_proj", "v_proj"], because="PEFT's default")
        foreign.note(
            "default",
            "`adapter.target_modules: [q_proj, v_proj]`, as PEFT has it for Mistral and Llama; "
            "other architectures have other names, and our own default is `all-linear`",
        )
    for key in ("lora_modules_to_save", "lora_target_parameters"):
        if foreign.get(key):
            foreign.note("lost", "only low-rank matrices beside linear layers train here", key)


def _quantization(foreign: Foreign) -> None:
    if foreign.get("use_peft") is not True:
        return
    if foreign.get("load_in_8bit") is True:
        foreign.note(
            "lost",
            "weights in 8 bits are not there: they stay whole; `model.quantization: nf4` is 4 bits",
            "load_in_8bit",
        )
    if foreign.get("load_in_4bit") is not True:
        return
    foreign.put("model.quantization", "nf4", key="load_in_4bit")
    foreign.note("renamed", "`model.quantization: nf4`", "load_in_4bit")
    if foreign.get("bnb_4bit_quant_type") not in (None, "nf4"):
        foreign.note("moved", "the only 4-bit type here is `nf4`", "bnb_4bit_quant_type")
    if foreign.get("use_bnb_nested_quant") is not True:
        foreign.note(
            "moved",
            "the scales were not quantised there; here they are (double quantisation, 0.4 bits less)",
            foreign.given("use_bnb_nested_quant") or "load_in_4bit",
        )
