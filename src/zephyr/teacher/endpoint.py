"""One request to an OpenAI-compatible endpoint, by the official client; its own retries are off, ours count."""

import asyncio
import json
import os
import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from zephyr.errors import UserError
from zephyr.recipe.teacher import LanguageModel
from zephyr.teacher.call import Call, Reason

if TYPE_CHECKING:
    import httpx2

LONGEST_DETAIL = 300
"""Characters of a server's words that are kept."""
EXHAUSTED = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
"""Codes that come as 429 and do not go away by waiting: the account is empty."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A response that came whole: HTTP 200 and JSON."""

    raw: str
    """As the server sent it."""
    latency_s: float

    @property
    def json(self) -> Any:
        """The response, parsed."""
        return json.loads(self.raw)


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A request without a response that could be used."""

    reason: Reason
    detail: str
    status: int | None = None
    retry_after_s: float | None = None
    """How long the server asked to wait."""
    no_more: bool = False
    """Whether the next request would be refused as well: a wrong key, an unknown model, an empty account."""
    may_be_billed: bool = False
    """Whether the server may have worked on it: a timeout, a connection that closed."""


class Endpoint:
    """A client for one model of an endpoint; open it in the event loop that uses it."""

    def __init__(self, model: LanguageModel, base_url: str, key: str | None) -> None:
        import httpx2
        from openai import AsyncOpenAI, Omit

        limits = httpx2.Limits(
            max_connections=model.max_concurrency, max_keepalive_connections=model.max_concurrency, keepalive_expiry=30
        )
        local = urlsplit(base_url).hostname in ("localhost", "127.0.0.1", "::1")
        transport = httpx2.AsyncClient(
            limits=limits, timeout=httpx2.Timeout(model.timeout_s), trust_env=not local, follow_redirects=True
        )
        # without a key of its own the client would take OPENAI_API_KEY, and send it to whatever server this is
        self._options: Any = {} if key else {"headers": {"Authorization": Omit()}}
        unasked: Any = {"OpenAI-Organization": Omit(), "OpenAI-Project": Omit()}  # from the environment
        self._client = AsyncOpenAI(
            api_key=key or "none", base_url=base_url, max_retries=0, http_client=transport,
            default_headers=unasked,
        )  # fmt: skip
        self._model, self._key = model, key
        self.takes_schema = True
        """Whether the server was not yet seen to refuse `response_format`."""

    async def send(self, call: Call) -> Reply | Trouble:
        """Sends the call once."""
        import httpx2
        import openai

        body = request_body(self._model, call, with_schema=self.takes_schema)
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._model.timeout_s):
                response = await self._client.post(
                    "/chat/completions", cast_to=httpx2.Response, body=body, options=self._options
                )
            return self._whole(response, time.monotonic() - started)
        except (TimeoutError, openai.APITimeoutError):
            detail = f"no answer in {self._model.timeout_s:g} s"
            return Trouble(reason="timeout", detail=detail, may_be_billed=True)
        except openai.APIStatusError as error:
            return self._refused(error.response)
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            unreachable = isinstance(cause, httpx2.ConnectError)
            detail = self._clean(f"{'no connection' if unreachable else 'the connection broke'}: {cause}")
            return Trouble(reason="broken", detail=detail, may_be_billed=not unreachable)

    def _whole(self, response: "httpx2.Response", latency_s: float) -> Reply | Trouble:
        raw = response.text
        try:
            parsed = json.loads(raw)
        except json.JSONDecodeError:
            detail = self._clean(f"the response is no whole JSON: {raw}")
            return Trouble(reason="broken", detail=detail, status=response.status_code, may_be_billed=True)
        if isinstance(parsed, dict) and "choices" not in parsed and "error" in parsed:  # some gateways' failures
            detail = self._clean(json.dumps(parsed["error"]))
            return Trouble(reason="server_error", detail=detail, status=response.status_code)
        return Reply(raw=raw, latency_s=latency_s)

    def _refused(self, response: "httpx2.Response") -> Trouble:
        status, words = response.status_code, _words(response)
        detail = self._clean(f"{status}: {words}")
        if status == 429 and not any(code in response.text for code in EXHAUSTED):
            wait_s = retry_after_s(response.headers, time.time())
            return Trouble(reason="rate_limited", detail=detail, status=status, retry_after_s=wait_s)
        if status >= 500 or status in (408, 409, 425):
            wait_s = retry_after_s(response.headers, time.time())
            return Trouble(reason="server_error", detail=detail, status=status, retry_after_s=wait_s)
        return Trouble(reason="refused", detail=detail, status=status, no_more=status in (401, 402, 403, 404, 429))

    def _clean(self, text: str) -> str:
        """A server's words on one line, cut, without the key: servers like to repeat it."""
        text = re.sub(r"\s+", " ", text)
        return without_key(text, self._key)[:LONGEST_DETAIL]

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()


def request_body(model: LanguageModel, call: Call, *, with_schema: bool) -> dict[str, Any]:
    """What is sent: OpenAI's names, only those that are needed."""
    body: dict[str, Any] = {
        "model": model.model,
        "messages": list(call.messages),
        "temperature": call.temperature,
        "top_p": call.top_p,
        model.max_tokens_key: call.max_tokens,
    }
    if call.seed is not None:
        body["seed"] = call.seed
    if call.json_schema is not None and with_schema:
        named = {"name": "answer", "schema": call.json_schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    if call.n_logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": call.n_logprobs}
    body |= model.extra_body
    return {key: value for key, value in body.items() if value is not None}


def _words(response: "httpx2.Response") -> str:
    """What a server says of its refusal: OpenAI's and FastAPI's forms, else the text as it is."""
    try:
        found = response.json()
    except ValueError:
        return response.text
    if isinstance(found, dict):
        error = found.get("error", found.get("detail", found.get("message", found)))
        found = error.get("message", error) if isinstance(error, dict) else error
    return found if isinstance(found, str) else json.dumps(found)


def retry_after_s(headers: Any, now: float) -> float | None:
    """Seconds that a server asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date."""
    if (found := headers.get("retry-after-ms")) and re.fullmatch(r"\d+(\.\d+)?", found):
        return float(found) / 1000
    found = headers.get("retry-after")
    if not found:
        return None
    if re.fullmatch(r"\d+(\.\d+)?", found):
        return float(found)
    try:
        return max(0.0, parsedate_to_datetime(found).timestamp() - now)
    except ValueError:
        return None


def without_key(text: str, key: str | None) -> str:
    """The text with the key, or a long piece of its beginning or end, put out of sight."""
    if not key:
        return text
    text = text.replace(key, "***")
    if len(key) >= 12:  # "Incorrect API key provided: sk-abcde*****vwxyz"
        text = re.sub(re.escape(key[:6]) + r"[^\s'\",]*", "***", text)
        text = re.sub(r"[^\s'\",]*" + re.escape(key[-4:]) + r"(?![A-Za-z0-9])", "***", text)
    return text


def key_of(model: LanguageModel) -> str | None:
    """The endpoint's key from its environment variable, None where none is wanted.

    Raises:
        UserError: the variable is not set, or holds something that can't be a key.
    """
    if model.api_key_env is None:
        return None
    key = os.environ.get(model.api_key_env, "").strip()
    if not key:
        raise UserError(
            f"{model.model} at {model.base_url}: its key is to be in the environment variable {model.api_key_env}, "
            f"which is {'empty' if model.api_key_env in os.environ else 'not set'} here.\n"
            f"  Set it: export {model.api_key_env}=...   (the key itself belongs in no file)\n"
            "  or leave `api_key_env` out, if the endpoint needs no key"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UserError(f"the environment variable {model.api_key_env} holds no key: it has blanks or other characters")
    return key
