"""What is cut when a row is longer than the window."""

from collections.abc import Sequence
from typing import NamedTuple


class Pair(NamedTuple):
    """Ids of a prompt and of its two answers."""

    prompt: Sequence[int]
    chosen: Sequence[int]
    rejected: Sequence[int]

    @property
    def longest(self) -> int:
        """Tokens of the prompt and the longer answer."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))


def truncate_pair(pair: Pair, max_length: int, max_prompt_length: int) -> Pair:
    """Cut a pair as the trainer of Zephyr-7B did (TRL 0.7, `DPODataCollatorWithPadding.tokenize_batch_element`).

    If prompt + longer answer exceed `max_length`, the prompt keeps its last `max_prompt_length` tokens. If that is
    still too long, both answers keep their first `max_length - max_prompt_length` tokens, also when the prompt is
    shorter than it may be. A BOS is a token of the prompt like any other and is cut with it.
    """
    if pair.longest <= max_length:
        return pair
    prompt = pair.prompt[-max_prompt_length:]
    cut = Pair(prompt, pair.chosen, pair.rejected)
    if cut.longest <= max_length:
        return cut
    room = max_length - max_prompt_length
    return Pair(prompt, pair.chosen[:room], pair.rejected[:room])
