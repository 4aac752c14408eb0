"""A server's response read: a whole answer, or what is wrong with it. Responses of all models have this one form."""

from typing import Any

from zephyr.teacher.call import Answer, Failure, Reason

FINISHED = ("stop", "eos", "end_turn", "eos_token", "stop_sequence")
"""Reasons by which servers say that the model ended by itself."""


def read(response: Any, *, cached: bool, n_attempts: int, may_be_cut: bool = False) -> Answer | Failure:
    """The answer in a chat completion as a server sent it.

    Failures: `broken` for something else than a chat completion, `empty`, `cut`, and `refused` for the content filter.
    With `may_be_cut` an answer that reached its longest is one.
    """
    if not isinstance(response, dict) or not isinstance(response.get("choices"), list):
        return _failure("broken", f"no chat completion: {str(response)[:200]}", n_attempts)
    choices = response["choices"]
    choice: dict[str, Any] = choices[0] if choices and isinstance(choices[0], dict) else {}
    message: dict[str, Any] = choice["message"] if isinstance(choice.get("message"), dict) else {}
    text, finish_reason = message.get("content"), str(choice.get("finish_reason")).lower()
    if finish_reason == "length" and not may_be_cut:
        return _failure("cut", "the answer reached max_tokens", n_attempts)
    if finish_reason == "content_filter":
        return _failure("refused", "stopped by the server's content filter", n_attempts)
    if not isinstance(text, str) or not text.strip():
        found = f"the model refuses: {message['refusal']}" if message.get("refusal") else "no text"
        return _failure("refused" if message.get("refusal") else "empty", found, n_attempts)
    if finish_reason not in (*FINISHED, "length"):
        return _failure("broken", f"the answer ended with `{finish_reason}`, not by itself", n_attempts)
    prompt_tokens, completion_tokens = usage(response) or (0, 0)
    return Answer(
        text=text,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        finish_reason=finish_reason,
        cached=cached,
        logprobs=_logprobs(choice.get("logprobs")),
        served=_served(response),
        created=float(response["created"]) if isinstance(response.get("created"), int | float) else None,
    )


def is_final(response: Any, found: Answer | Failure) -> bool:
    """Whether the same request would get the same again: an answer, a cut or an empty one, the content filter.

    No choices at all, or something else than a chat completion, is a server's fault that may pass.
    """
    if isinstance(found, Answer) or found.reason in ("cut", "refused"):
        return True
    return found.reason == "empty" and bool(response["choices"])


def usage(response: Any) -> tuple[int, int] | None:
    """Tokens of prompt and answer that the server counted; None where it does not say."""
    found = response.get("usage") if isinstance(response, dict) else None
    if not isinstance(found, dict):
        return None
    counts = found.get("prompt_tokens"), found.get("completion_tokens")
    prompt_tokens, completion_tokens = counts
    if not isinstance(prompt_tokens, int) or not isinstance(completion_tokens, int):
        return None
    return prompt_tokens, completion_tokens


def _served(response: dict[str, Any]) -> str | None:
    named = [response.get(key) for key in ("model", "system_fingerprint")]
    return " ".join(each for each in named if isinstance(each, str) and each) or None


def _logprobs(found: Any) -> tuple[dict[str, float], ...] | None:
    content = found.get("content") if isinstance(found, dict) else None
    if not isinstance(content, list):
        return None
    return tuple(
        {each["token"]: each["logprob"] for each in [*position.get("top_logprobs", []), position]}
        for position in content
    )


def _failure(reason: Reason, detail: str, n_attempts: int) -> Failure:
    return Failure(reason=reason, detail=detail, n_attempts=n_attempts)
