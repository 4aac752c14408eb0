"""A model in this process: calls that wait together are generated as one batch, each with random numbers of its own.

The same call draws the same random numbers whatever its batch mates, the batch size and the device: each row has its
own generator, seeded by the call. What remains is arithmetic: in another batch (other padding, other kernels) logits
may differ in their last bits, and where two tokens are that close another may win. In float32 on a CPU that is rare;
in bfloat16 it is not, and an answer may then take another turn.
"""

import asyncio
import hashlib
import json
import threading
import time
from typing import TYPE_CHECKING, Any

from zephyr.errors import UserError
from zephyr.recipe.teacher import LanguageModel
from zephyr.teacher.call import Call, determining
from zephyr.teacher.endpoint import Reply, Trouble

if TYPE_CHECKING:
    from torch import Tensor

GATHER_S = 0.005
"""A first call waits so long for others to join its batch."""
_device = threading.Lock()
"""One model at a time computes."""


class Local:
    """A model that is loaded when it is first asked."""

    takes_schema = False

    def __init__(self, model: LanguageModel) -> None:
        self._settings = model
        self._loaded: tuple[Any, Any] | None = None
        self._waiting: list[tuple[Call, asyncio.Future[Reply | Trouble]]] = []
        self._batches: asyncio.Task[None] | None = None

    async def send(self, call: Call) -> Reply | Trouble:
        """The model's reply, generated with those of other calls."""
        future: asyncio.Future[Reply | Trouble] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, future))
        if self._batches is None or self._batches.done():
            self._batches = asyncio.ensure_future(self._work())
        return await future

    async def close(self) -> None:
        """Lets go of the model."""
        self._loaded = None

    async def _work(self) -> None:
        await asyncio.sleep(GATHER_S)
        while self._waiting:
            batch = self._next_batch()
            try:
                replies = await asyncio.to_thread(self._answer, [call for call, _ in batch])
            except Exception as error:
                for _, future in batch:
                    future.set_exception(error)
                continue
            for (_, future), reply in zip(batch, replies, strict=True):
                if not future.done():
                    future.set_result(reply)

    def _next_batch(self) -> list[tuple[Call, asyncio.Future[Reply | Trouble]]]:
        """The call that waits longest and those whose length is next to its own."""
        oldest = self._waiting[0]
        by_length = sorted(self._waiting, key=lambda each: _length(each[0]))
        size = self._settings.batch_size
        start = max(0, min(by_length.index(oldest) - size // 2, len(by_length) - size))
        batch = by_length[start : start + size]
        taken = {id(each) for each in batch}
        self._waiting = [each for each in self._waiting if id(each) not in taken]
        return batch

    def _answer(self, calls: list[Call]) -> list[Reply | Trouble]:
        started = time.monotonic()
        with _device:
            model, tokenizer = self._load()
            prompts = [self._rendered(tokenizer, call) for call in calls]
            fit = [n for n, each in enumerate(prompts) if not isinstance(each, Trouble)]
            found = _generate(model, tokenizer, [prompts[n] for n in fit], [calls[n] for n in fit]) if fit else []
        replies: list[Reply | Trouble] = list(prompts)  # type: ignore[arg-type]
        for n, response in zip(fit, found, strict=True):
            raw = json.dumps({"model": self._settings.model, "created": int(time.time()), **response})
            replies[n] = Reply(raw=raw, latency_s=time.monotonic() - started)
        return replies

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            self._loaded = load(self._settings)
        return self._loaded

    def _rendered(self, tokenizer: Any, call: Call) -> list[int] | Trouble:
        """Token ids of the prompt; trouble where the template or the model's longest input does not allow it."""
        from jinja2 import TemplateError

        from zephyr.data.shapes import with_system_turn

        messages = list(call.messages)
        if self._settings.empty_system_turn:
            messages = with_system_turn(messages)
        try:
            text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except TemplateError as error:
            return Trouble(reason="refused", detail=f"the chat template refuses the conversation: {error}")
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]  # the template has written them
        assert self._loaded is not None
        longest = getattr(self._loaded[0].config, "max_position_embeddings", None)
        if longest and len(ids) + call.max_tokens > longest:
            found = f"{len(ids)} tokens and an answer of {call.max_tokens} are more than the model's {longest}"
            return Trouble(reason="refused", detail=f"context too long: {found}")
        return ids


def load(settings: LanguageModel) -> tuple[Any, Any]:
    """The model, on the GPU when there is one, and its tokenizer.

    Raises:
        UserError: the model can't be found, carries no template, or does not fit.
    """
    import torch
    from transformers import AutoTokenizer
    from transformers.utils import logging as transformers_logging

    from zephyr.data.tokens.template import template_source
    from zephyr.evaluate.load import load_model

    transformers_logging.disable_progress_bar()
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(settings.model, revision=settings.revision or "main")
        model: Any = load_model(settings.model, revision=settings.revision, dtype="auto")
    except (OSError, ValueError) as error:
        raise UserError(f"{settings.model}: no model directory here, and not found on the Hub ({error})") from error
    tokenizer.chat_template = template_source(settings.chat_template, tokenizer.chat_template, settings.model)
    try:
        return model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"{settings.model} does not fit into the GPU's memory beside what is there already.\n"
            "  Serve it by itself (vllm serve, transformers serve) and give its `base_url`"
        ) from error


def _length(call: Call) -> int:
    return sum(len(each["content"]) for each in call.messages)


def _seed(call: Call) -> int:
    whole = json.dumps(determining(call), sort_keys=True)
    return int.from_bytes(hashlib.sha256(whole.encode("utf-8", "surrogatepass")).digest()[:8], "big") >> 1


def _generate(model: Any, tokenizer: Any, prompts: list[Any], calls: list[Call]) -> list[dict[str, Any]]:
    """Responses in the form of OpenAI's chat completions."""
    import torch
    from transformers import GenerationConfig, LogitsProcessorList

    longest = max(len(ids) for ids in prompts)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    padded = torch.tensor([[pad] * (longest - len(ids)) + ids for ids in prompts], device=model.device)
    mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts], device=model.device)
    draws, ends = Draws(calls), _ends(model, tokenizer)
    try:
        with torch.inference_mode():
            output = model.generate(
                input_ids=padded,
                attention_mask=mask,
                logits_processor=LogitsProcessorList([draws]),
                # not the model's own: what a recipe does not say (penalties, top_k) is not done
                generation_config=GenerationConfig(
                    do_sample=False, max_new_tokens=max(call.max_tokens for call in calls), pad_token_id=pad,
                    eos_token_id=ends,
                ),
            )  # fmt: skip
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"{tokenizer.name_or_path}: no memory for {len(calls)} answers at once; lower its `batch_size`"
        ) from error
    rows = output[:, longest:].tolist()
    return [
        _response(tokenizer, prompt, row, call, ends, draws.logprobs[n])
        for n, (prompt, row, call) in enumerate(zip(prompts, rows, calls, strict=True))
    ]


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """Tokens that end an answer: the tokenizer's EOS, and those that the model's generation configuration names."""
    own = model.generation_config.eos_token_id
    listed = own if isinstance(own, list) else [own]
    return sorted({each for each in [tokenizer.eos_token_id, *listed] if each is not None})


def _response(
    tokenizer: Any, prompt: list[int], row: list[int], call: Call, ends: list[int], logprobs: list[tuple[Any, ...]]
) -> dict[str, Any]:
    n = next((n + 1 for n, token in enumerate(row) if token in ends), len(row))
    ended = row[n - 1] in ends and n <= call.max_tokens
    new = row[: min(n, call.max_tokens)]
    message = {"role": "assistant", "content": tokenizer.decode(new, skip_special_tokens=True).strip()}
    choice = {"index": 0, "message": message, "finish_reason": "stop" if ended else "length"}
    if call.n_logprobs is not None:
        choice["logprobs"] = {"content": [_position(tokenizer, *each) for each in logprobs[: len(new)]]}
    return {"choices": [choice], "usage": {"prompt_tokens": len(prompt), "completion_tokens": len(new)}}


def _position(tokenizer: Any, drawn: int, logprob: float, top: list[tuple[int, float]]) -> dict[str, Any]:
    likely = [{"token": tokenizer.decode([token]), "logprob": value} for token, value in top]
    return {"token": tokenizer.decode([drawn]), "logprob": logprob, "top_logprobs": likely}


class Draws:
    """A logits processor after which the largest score is a draw: by the Gumbel-max trick, and each row by itself.

    The largest of log-probabilities plus Gumbel noise is a sample of that distribution (Gumbel 1954); so a row's token
    depends on its own noise alone, where `torch.multinomial` draws for the whole batch from one generator.
    """

    def __init__(self, calls: list[Call]) -> None:
        import torch

        self.calls = calls
        # on the CPU whatever the device, so that all devices draw the same
        self.generators = [torch.Generator().manual_seed(_seed(call)) for call in calls]
        self.logprobs: list[list[tuple[int, float, list[tuple[int, float]]]]] = [[] for _ in calls]

    def __call__(self, input_ids: "Tensor", scores: "Tensor") -> "Tensor":
        """Scores of shape (calls, vocabulary), before and after."""
        import torch

        scores = scores.float()
        drawn = scores.clone()
        rows = [n for n, call in enumerate(self.calls) if call.temperature > 0]
        if rows:
            noise = [torch.empty(scores.shape[1]).exponential_(generator=self.generators[n]) for n in rows]
            heat = torch.tensor([[self.calls[n].temperature, self.calls[n].top_p] for n in rows]).to(scores.device)
            kept = within_top_p(scores[rows] / heat[:, :1], heat[:, 1:])
            drawn[rows] = kept - torch.stack(noise).log().to(scores.device)
        for n, call in enumerate(self.calls):
            if call.n_logprobs is not None:
                self.logprobs[n].append(_likely(scores[n], int(drawn[n].argmax()), call.n_logprobs))
        return drawn


def within_top_p(scores: "Tensor", top_p: "Tensor") -> "Tensor":
    """Scores (rows, vocabulary) of the fewest tokens that have the share `top_p` (rows, 1) of the probability.

    The others become minus infinity; a share of 1 keeps all.
    """
    ordered, order = scores.sort(descending=True)
    share = ordered.softmax(dim=-1)
    left_out = (share.cumsum(dim=-1) - share >= top_p) & (top_p < 1)
    return scores.masked_fill(left_out.scatter(-1, order, left_out), float("-inf"))


def _likely(scores: "Tensor", drawn: int, count: int) -> tuple[int, float, list[tuple[int, float]]]:
    logprobs = scores.log_softmax(dim=-1)
    top = logprobs.topk(max(1, count))
    return drawn, float(logprobs[drawn]), list(zip(top.indices.tolist(), top.values.tolist(), strict=True))
