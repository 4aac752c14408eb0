"""What is asked of a language model, and what comes of it: an answer or a failure, never something made up."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

Message = dict[str, str]
"""A turn: `role` (`system`, `user` or `assistant`) and `content`."""

Reason = Literal[
    "timeout", "rate_limited", "server_error", "broken", "cut", "empty", "refused", "budget", "not_cached"
]  # fmt: skip
"""Why a call failed.

`timeout`: no answer in time; `rate_limited`: 429; `server_error`: 5xx; `broken`: the connection closed or the body was
no whole response; `empty`: no choice; these were tried `max_attempts` times. `cut`: the answer reached `max_tokens`;
`empty`: an answer without text; `refused`: the server will not answer this request (401, 404, context too long, content
filter); these would come again and were tried once. `budget`: not sent, the budget is used up; `not_cached`: not sent,
the run is offline.
"""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request: all that determines the answer, beside the model, and nothing else."""

    messages: tuple[Message, ...]
    """The conversation so far."""
    temperature: float
    """0: the most likely token at each step."""
    top_p: float
    """Share of the probability that tokens are drawn from."""
    max_tokens: int
    """Longest answer; one that is cut there is a failure."""
    seed: int | None = None
    """Of the draws, for servers that take one. In this process: always, together with the rest of the call."""
    json_schema: dict[str, Any] | None = None
    """Asked for as `response_format`; where the server can't, it is left out. The text comes back as text."""
    n_logprobs: int | None = None
    """So many of the most likely tokens at each position of the answer, with their log-probabilities."""
    sample: int = 0
    """Which of several equal calls: part of the cache's key, never sent."""
    may_be_cut: bool = False
    """Whether an answer that reaches `max_tokens` is an answer all the same. Never sent, and no part of the key."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model wrote, whole."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    cached: bool
    """Whether it was on disk, so that nothing was sent."""
    logprobs: tuple[dict[str, float], ...] | None = None
    """For each token of the answer: the most likely tokens there, and their log-probabilities."""
    served: str | None = None
    """What the server says that it served: its own name of the model, and its fingerprint where it has one."""
    created: float | None = None
    """When it was written, in seconds since 1970, as the server says."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A call that gave no answer."""

    reason: Reason
    detail: str
    """What the server said, without secrets."""
    n_attempts: int
    """Requests sent for it in this run."""


def determining(call: Call) -> dict[str, Any]:
    """All of a call that determines what comes back, but not how that is read."""
    return {key: value for key, value in vars(call).items() if key != "may_be_cut"}


def request_key(identity: dict[str, Any], call: Call) -> str:
    """Under which the answer is kept: the hash of the whole request and of what model is asked."""
    whole = json.dumps([identity, determining(call)], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()
