"""`zephyr chat`: a conversation on the terminal, with the template that the tokenizer carries."""

import sys

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TextStreamer
from transformers.utils import logging as transformers_logging

from zephyr.errors import UserError
from zephyr.evaluate.load import load_model, load_tokenizer, model_path

HELP = "Type a message; an empty line or Ctrl-D ends, /new starts over."


def chat(name: str, *, system: str, temperature: float, max_new_tokens: int) -> None:
    """Reads messages from standard input and streams the answers until end of input."""
    path = model_path(name)
    transformers_logging.disable_progress_bar()
    try:
        tokenizer = load_tokenizer(path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{name}: no model directory, run directory or recipe here, and not found on the Hub"
        ) from error
    if tokenizer.chat_template is None:
        raise UserError(f"{path}: its tokenizer carries no chat template, so this is no chat model (a base model?)")
    model = load_model(path, dtype="auto")
    model = model.to("cuda" if torch.cuda.is_available() else "cpu")
    if sys.stdin.isatty():
        print(HELP)
    start = [{"role": "system", "content": system}]
    messages = list(start)
    while text := _read():
        if text == "/new":
            messages = list(start)
            continue
        messages.append({"role": "user", "content": text})
        answer = reply(model, tokenizer, messages, temperature=temperature, max_new_tokens=max_new_tokens)
        messages.append({"role": "assistant", "content": answer})


def _read() -> str:
    try:
        return input("> " if sys.stdin.isatty() else "").strip()
    except EOFError:
        return ""


def reply(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    messages: list[dict],
    *,
    temperature: float,
    max_new_tokens: int,
) -> str:
    """Streams one answer to standard output and returns it."""
    inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    inputs = inputs.to(model.device)
    sampling = {"do_sample": True, "temperature": temperature} if temperature > 0 else {"do_sample": False}
    streamer = TextStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    with torch.no_grad():
        tokens = model.generate(**inputs, **sampling, max_new_tokens=max_new_tokens, streamer=streamer)
    return tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
