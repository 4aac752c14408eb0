"""Answers of a model to many conversations at once, through a chat template."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from zephyr.data.shapes import with_system_turn
from zephyr.data.tokens.template import template_source
from zephyr.evaluate.load import load_model, load_tokenizer
from zephyr.recipe import Generation

Message = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the model wrote."""

    text: str
    finished: bool
    """Whether it ended by itself (EOS), not at `max_new_tokens`."""


@dataclass(frozen=True, kw_only=True)
class Answerer:
    """A model ready to answer, with its tokenizer and the way its prompts are written."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    settings: Generation


def load(model: str | Path, settings: Generation) -> Answerer:
    """The model, on the GPU when there is one, and its tokenizer, padding on the left as generation needs."""
    transformers_logging.disable_progress_bar()
    tokenizer = load_tokenizer(str(model), padding_side="left")
    tokenizer.chat_template = template_source(settings.chat_template, tokenizer.chat_template, str(model))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    loaded = load_model(str(model), dtype="auto")
    loaded.to("cuda" if torch.cuda.is_available() else "cpu")
    return Answerer(model=loaded, tokenizer=tokenizer, settings=settings)


def answer(
    answerer: Answerer, conversations: Sequence[list[Message]], *, temperature: float, seed: int
) -> list[Answer]:
    """One answer to each conversation, which ends with a user turn. Temperature 0: the most likely token at each step.

    Conversations of similar length share a batch; equal ones are asked once at temperature 0.
    """
    prompts = [_rendered(answerer, each) for each in conversations]
    asked = list(dict.fromkeys(prompts)) if temperature == 0 else prompts
    order = sorted(range(len(asked)), key=lambda n: len(asked[n]))
    torch.manual_seed(seed)
    found: list[Answer | None] = [None] * len(asked)
    for start in range(0, len(order), answerer.settings.batch_size):
        batch = order[start : start + answerer.settings.batch_size]
        for n, each in zip(batch, _answer_batch(answerer, [asked[n] for n in batch], temperature), strict=True):
            found[n] = each
    answers = [each for each in found if each is not None]
    if temperature > 0:
        return answers
    by_prompt = dict(zip(asked, answers, strict=True))
    return [by_prompt[prompt] for prompt in prompts]


def _rendered(answerer: Answerer, conversation: list[Message]) -> str:
    if answerer.settings.empty_system_turn:
        conversation = with_system_turn(conversation)
    text: Any = answerer.tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
    return text


@torch.inference_mode()
def _answer_batch(answerer: Answerer, prompts: list[str], temperature: float) -> list[Answer]:
    model, tokenizer = answerer.model, answerer.tokenizer
    # the template has written the special tokens
    inputs = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False).to(model.device)
    sampling: dict[str, Any] = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    output = model.generate(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        max_new_tokens=answerer.settings.max_new_tokens,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **(sampling if temperature > 0 else {"do_sample": False}),
    )
    new = output[:, inputs["input_ids"].shape[1] :]
    ended = (new == tokenizer.eos_token_id).any(dim=1).tolist()
    texts = tokenizer.batch_decode(new, skip_special_tokens=True)
    return [Answer(text=text.strip(), finished=end) for text, end in zip(texts, ended, strict=True)]
