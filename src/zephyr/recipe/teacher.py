"""Sections about models that write text for us: the teacher, the models that answer, the judge."""

from typing import Any, Literal

from pydantic import Field

from zephyr.recipe.sections import FileName, ModelName, Positive, RunName, section


@section
class LanguageModel:
    """A model that is asked: behind an OpenAI-compatible endpoint, in this process, or one of the mini world."""

    model: ModelName
    """The name that the endpoint knows; without an endpoint a Hub id, a local directory or another recipe."""
    revision: str | None = None
    """Commit, tag or branch of a Hub model. Behind an endpoint: the one it serves; then `base_url` is no science."""
    base_url: str | None = None
    """OpenAI-compatible endpoint (`http://localhost:8000/v1`). Default: the model runs in this process."""
    world: RunName | None = None
    """Recipe of a mini world, of which `model` is a scripted answerer or the `judge`; served here over HTTP."""
    api_key_env: str | None = None
    """Environment variable that holds the endpoint's key; the key itself is in no file. Default: no key is sent."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Anything else to send with each request (`reasoning_effort: low`); null takes a key away (`top_p: null`)."""
    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """The endpoint's word for the longest answer; some hosted models know only `max_completion_tokens`."""
    max_concurrency: int = Field(default=32, gt=0)
    """Requests in flight at once."""
    requests_per_minute: int | None = Field(default=None, gt=0)
    """Most requests started per minute. Default: no limit."""
    tokens_per_minute: int | None = Field(default=None, gt=0)
    """Most tokens, prompt and answer, started per minute. Default: no limit."""
    timeout_s: float = Field(default=120, gt=0)
    """Seconds after which a request counts as failed and is tried again."""
    max_attempts: int = Field(default=6, gt=0)
    """Tries per request: rate limits, server errors, timeouts and broken connections are tried again."""
    first_retry_s: float = Field(default=1.0, gt=0)
    """Seconds before the second try, about twice as many before each further one (60 at most)."""
    price_per_million_input_tokens: float | None = Field(default=None, ge=0)
    """In your currency. Default: cost is not reckoned."""
    price_per_million_output_tokens: float | None = Field(default=None, ge=0)
    """In your currency. Default: cost is not reckoned."""
    batch_size: int = Field(default=16, gt=0)
    """Prompts generated at once, where the model runs in this process."""
    chat_template: FileName = "tokenizer"
    """In this process: `tokenizer` (the one it carries), `zephyr`, or the path of a Jinja file."""
    empty_system_turn: bool = False
    """In this process: start conversations that have no system turn with an empty one, as Zephyr's training did."""


@section
class Sampling:
    """How answers are drawn."""

    temperature: float = Field(ge=0)
    """0: the most likely token at each step."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Share of the probability that tokens are drawn from."""
    max_tokens: int = Positive
    """Longest answer; one that is cut there is a failure, never a result."""


@section
class Budget:
    """Where a run that asks models stops by itself: no new call is made, what is there is kept."""

    max_requests: int | None = Field(default=None, gt=0)
    """Requests sent, tries included. Default: no limit."""
    max_cost: float | None = Field(default=None, gt=0)
    """In the currency of the prices. Default: no limit."""


NOT_SCIENCE_OF_A_MODEL = {
    "api_key_env", "max_concurrency", "requests_per_minute", "tokens_per_minute", "timeout_s", "max_attempts",
    "first_retry_s", "max_tokens_key", "price_per_million_input_tokens", "price_per_million_output_tokens",
    "batch_size",
}  # fmt: skip
"""Keys of a LanguageModel that don't change its answers, only how and when it is asked."""


def is_asking(key: str, model: dict[str, Any]) -> bool:
    """Whether a key of a LanguageModel is no science; `base_url` is none where `revision` says what is served there."""
    return key in NOT_SCIENCE_OF_A_MODEL or (key == "base_url" and model.get("revision") is not None)
