"""What to say about a key that the schema does not have: where it belongs, or what it is called here."""

import difflib
import re
from collections.abc import Iterable

from zephyr.recipe import renamed
from zephyr.recipe.keys import ITEM, Key, inside, keys_of
from zephyr.recipe.problems import Parts, dotted, listed
from zephyr.recipe.schema import RECIPES
from zephyr.recipe.trl_keys import CONFIG_FILES, FIXED, OWNED, known_keys

LISTING = "may stand"
"""In an answer that only lists what there is, and points at no key."""
MOST_LISTED = 6
"""Keys of a section that such an answer lists; at the top it lists all, which are the sections."""


def advice(stage: str | None, parts: Parts, typed: str | None = None) -> str:
    """One sentence on an unknown key.

    Args:
        stage: the recipe's; None where it has none, then all stages are looked through.
        parts: where the key stands.
        typed: its value as written, to be shown in the answer.
    """
    key = str(parts[-1])
    if "." in key and parts[:-1] == ():
        first, _, rest = key.partition(".")
        return f"keys are nested in a file, dotted only on the command line; write `{rest}` under `{first}`"
    section = re.sub(r"\[\d+\]", ITEM, dotted(parts[:-1]))
    answers = (
        _renamed(stage, section, key, typed),
        _elsewhere(stage, section, key),
        _of_trl(stage, key),
        _near(stage, section, key),
        _other_stage(stage, key),
    )
    return next((answer for answer in answers if answer), None) or _what_there_is(stage, section, key)


def _renamed(stage: str | None, section: str, key: str, typed: str | None) -> str | None:
    kind = "source" if section.endswith(ITEM) else section
    ours = stage and any(each.leaf == key for each in keys_of(stage).values())
    sentence = renamed.IN_SECTION.get(kind, {}).get(key) or (None if ours else renamed.KEYS.get(key))
    if sentence is None:
        return f"TRL's name; write `{OWNED[key]}`" if key in OWNED and OWNED[key].rpartition(".")[2] != key else None
    sentence = sentence.format(value="..." if typed in (None, "", "~", "null") else typed)
    return re.sub(r"`(\w+)\.(\w+: [^`]*)`", lambda m: _as_in_the_file(m[1], m[2], section), sentence)


def _as_in_the_file(section: str, line: str, here: str) -> str:
    """`dtype: bfloat16` under `model`, or without saying where if it is here."""
    return f"`{line}`" if section == here else f"`{line}` under `{section}`"


def _elsewhere(stage: str | None, section: str, key: str) -> str | None:
    """The key exists in another section of this stage."""
    places = dict.fromkeys(
        each.dotted for each in _keys(stage) if each.leaf == key and each.dotted != f"{section}.{key}"
    )
    if not places:
        return None
    if len(places) == 1 and "." not in next(iter(places)):
        return f"belongs at the top of the recipe, not under `{section}`"
    sections = [place.rpartition(".")[0].replace(ITEM, "[0]") for place in places]
    return f"belongs under {listed(sections)}"


def _of_trl(stage: str | None, key: str) -> str | None:
    if key in FIXED:
        return f"set by the toolkit: {FIXED[key]}"
    if any(key in known_keys(each) for each in _stages(stage) if each in CONFIG_FILES):
        return f"an argument of TRL's: write it under `trl`, as `trl: {{{key}: ...}}`"
    return None


def _near(stage: str | None, section: str, key: str) -> str | None:
    of_trl = known_keys(stage) - set(OWNED) - set(FIXED) if section == "trl" and stage in CONFIG_FILES else set()
    here = {each.leaf for each in _inside(stage, section)} | of_trl
    near = difflib.get_close_matches(key, sorted(here), n=2, cutoff=0.65)
    if near:
        return f"there is no such key; did you mean {listed(near)}?"
    elsewhere = dict.fromkeys(each.leaf for each in _keys(stage) if each.leaf.isidentifier())
    near = difflib.get_close_matches(key, elsewhere, n=1, cutoff=0.75)
    if not near:
        return None
    where = dict.fromkeys(each.dotted.replace(ITEM, "[0]") for each in _keys(stage) if each.leaf == near[0])
    return f"there is no such key; did you mean {listed(where)}?"


def _other_stage(stage: str | None, key: str) -> str | None:
    having: dict[str, str] = {}
    for other in RECIPES:
        for each in keys_of(other).values():
            if each.leaf == key:
                having.setdefault(other, each.dotted)
    if not having:
        return None
    dotted_name = next(iter(having.values())).replace(ITEM, "[0]")
    return f"a recipe of stage {stage} has no such key; `{dotted_name}` is for {listed(having, 'and')}"


def _what_there_is(stage: str | None, section: str, key: str) -> str:
    names = list(dict.fromkeys(each.leaf for each in _inside(stage, section)))
    if stage is None:
        return "no recipe has such a key"
    if section == "trl":
        return "the installed TRL has no such argument"
    if not names:
        return "there is no such key"
    if not section:
        return f"there is no such key; at the top {LISTING} {listed(names, 'and')}"
    where = f"under `{section.replace(ITEM, '[0]')}`"
    if len(names) <= MOST_LISTED:
        return f"there is no such key; {where} {LISTING} {listed(names, 'and')}"
    near = sorted(names, key=lambda name: -difflib.SequenceMatcher(None, key, name).ratio())[: MOST_LISTED - 1]
    shown = ", ".join(f"`{name}`" for name in names if name in near)
    return f"there is no such key; {where} {LISTING} {shown} and {len(names) - len(near)} more (`zephyr schema`)"


def _keys(stage: str | None) -> Iterable[Key]:
    return [key for each in _stages(stage) for key in keys_of(each).values()]


def _inside(stage: str | None, section: str) -> list[Key]:
    return [key for each in _stages(stage) for key in inside(each, section)]


def _stages(stage: str | None) -> Iterable[str]:
    return [stage] if stage else RECIPES
