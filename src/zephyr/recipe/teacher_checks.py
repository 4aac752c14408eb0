"""What must hold between the keys of models that are asked, and their budget."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from zephyr.recipe.feedback import ANSWERS_PER_PROMPT
from zephyr.recipe.keys import key_at, keys_of
from zephyr.recipe.problems import Parts, dotted, listed
from zephyr.recipe.teacher import LanguageModel

PRICES = ("price_per_million_input_tokens", "price_per_million_output_tokens")
OURS = ("model", "messages", "stream", "n", "tools")
"""Keys of a request that `extra_body` may not set: the answer would be read wrongly."""


def teacher_checks(stage: str, data: dict[str, Any]) -> Iterator[tuple[Parts, str]]:
    """Mistakes between the keys of each LanguageModel of a recipe, and of `budget`."""
    models = dict(language_models(stage, data))
    for parts, model in models.items():
        yield from _place(parts, model)
        yield from _secrets(parts, model)
        yield from _prices(parts, model)
        yield from _extra_body(parts, model)
    if stage == "feedback":
        yield from _pool(data)
    budget = data.get("budget")
    if isinstance(budget, dict) and budget.get("max_cost") is not None:
        free = [dotted(parts) for parts, model in models.items() if model.get("base_url") and not _priced(model)]
        if free:
            yield (
                ("budget", "max_cost"),
                f"what a call costs can't be reckoned without the prices of {listed(free, 'and')}: give "
                f"`{PRICES[0]}` and `{PRICES[1]}` (0 for a server of your own)",
            )


def pool_faults(n_pool: int, answers_per_prompt: int, min_answers: int | None) -> Iterator[tuple[str, str]]:
    """What is wrong between the sizes of a feedback recipe: the key, and a sentence."""
    if answers_per_prompt > n_pool:
        yield (
            "answers_per_prompt",
            f"{answers_per_prompt} models are to be drawn for each prompt, and `pool` has {n_pool}; name more models, "
            f"or write `answers_per_prompt: {max(2, n_pool)}`",
        )
    if min_answers is not None and min_answers > answers_per_prompt:
        yield (
            "min_answers",
            f"found {min_answers}; {answers_per_prompt} or less is expected: there are {answers_per_prompt} answers "
            "to a prompt (`answers_per_prompt`)",
        )


def _pool(data: dict[str, Any]) -> Iterator[tuple[Parts, str]]:
    pool, wanted, least = (data.get(key) for key in ("pool", "answers_per_prompt", "min_answers"))
    if wanted is None:
        wanted = ANSWERS_PER_PROMPT
    if not isinstance(pool, dict) or not _is_whole(wanted) or len(pool) < 2 or wanted < 2:
        return  # these have a mistake of their own
    for key, fault in pool_faults(len(pool), wanted, least if _is_whole(least) else None):
        # without a line of its own, that of the pool
        yield ((key,), fault) if key in data else (("pool",), f"`{key}`: {fault}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def language_models(stage: str, data: Any, parts: Parts = ()) -> Iterator[tuple[Parts, dict[str, Any]]]:
    """Every LanguageModel of a recipe, as it was written, and its place."""
    if isinstance(data, dict):
        if parts and _is_language_model(stage, parts):
            yield parts, data
            return
        for key, value in data.items():
            yield from language_models(stage, value, (*parts, key))
    elif isinstance(data, list):
        for n, value in enumerate(data):
            yield from language_models(stage, value, (*parts, n))


def _is_language_model(stage: str, parts: Parts) -> bool:
    key = key_at(stage, parts)
    inside = keys_of(stage).get(f"{key.dotted}.max_concurrency") if key else None
    return inside is not None and inside.section is LanguageModel


def _place(parts: Parts, model: dict[str, Any]) -> Iterator[tuple[Parts, str]]:
    base_url, world = model.get("base_url"), model.get("world")
    if base_url is not None and world is not None:
        yield (*parts, "world"), "`base_url` is given too; a model is behind an endpoint or of a mini world, not both"
    if not isinstance(base_url, str):
        return
    try:
        split = urlsplit(base_url)
        host, secret = split.hostname, split.username or split.password or split.query
    except ValueError:
        host, secret = None, None
    if host is None or split.scheme not in ("http", "https"):
        yield (*parts, "base_url"), "an address such as `http://localhost:8000/v1` is expected"
    elif secret:
        yield (*parts, "base_url"), "an address without user, password or query is expected; a key comes by api_key_env"
    elif split.path.rstrip("/").endswith("/completions"):
        shorter = re.sub(r"/(chat/)?completions/*$", "", base_url)
        yield (*parts, "base_url"), f"the part before `/chat/completions` is expected: write `{shorter}`"


def _secrets(parts: Parts, model: dict[str, Any]) -> Iterator[tuple[Parts, str]]:
    name = model.get("api_key_env")
    if not isinstance(name, str):
        return
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name) or re.match(r"(sk|hf|gsk|pk|key)[-_]\w{12}", name):
        # what stands there may be the key: it is not repeated
        yield (
            (*parts, "api_key_env"),
            "the name of an environment variable is expected, such as `OPENAI_API_KEY`; the key itself belongs in no "
            "file: if this is one, take it out and have it replaced",
        )
    elif model.get("base_url") is None:
        yield (*parts, "api_key_env"), "only an endpoint takes a key; give its `base_url` (https://.../v1)"


def _priced(model: dict[str, Any]) -> bool:
    return all(model.get(price) is not None for price in PRICES)


def _prices(parts: Parts, model: dict[str, Any]) -> Iterator[tuple[Parts, str]]:
    given = [price for price in PRICES if model.get(price) is not None]
    if len(given) == 1:
        other = next(price for price in PRICES if price not in given)
        yield (*parts, given[0]), f"`{other}` is missing; a cost needs both (0 is a price)"


def _extra_body(parts: Parts, model: dict[str, Any]) -> Iterator[tuple[Parts, str]]:
    extra = model.get("extra_body")
    if not isinstance(extra, dict) or not extra:
        return
    if model.get("base_url") is None and model.get("world") is None:
        yield (*parts, "extra_body"), "nothing is sent to a model that runs in this process"
    for key in extra:
        if key in OURS:
            yield (*parts, "extra_body", key), "this key of a request can't be set: it decides how the answer is read"
