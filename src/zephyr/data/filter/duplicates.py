"""Dialogues that are equal or similar to one kept before."""

import hashlib
from typing import Any

from zephyr.data.filter.questions import sequences
from zephyr.data.filter.words import words
from zephyr.data.turns import Messages
from zephyr.recipe.filter import NearDuplicates

PERMUTATION_SEED = 1
"""Which hash functions MinHash draws: of no consequence, but the same in all processes."""


def compared_words(messages: Messages, on: str) -> list[str]:
    """The words by which a dialogue is compared: of its first user turn (`prompt`), or of all turns (`dialogue`)."""
    if on == "prompt":
        return words(prompt(messages))
    return words("\n".join(turn["content"] for turn in messages))


def prompt(messages: Messages) -> str:
    """The first user turn, which `prompt_id` is the hash of."""
    return next(turn["content"] for turn in messages if turn["role"] == "user")


def exact_key(messages: Messages, on: str) -> bytes:
    """128 bits that are equal for equal words; texts without words are compared as they are."""
    text = " ".join(compared_words(messages, on)) or "\n".join(turn["content"] for turn in messages)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def near_signature(messages: Messages, settings: NearDuplicates) -> Any:
    """The MinHash of a dialogue's word sequences."""
    import rensa

    signature = rensa.RMinHash(settings.permutations, PERMUTATION_SEED)
    said = compared_words(messages, settings.on)
    signature.update(sequences(said, settings.shingle_words) or ["\n".join(turn["content"] for turn in messages)])
    return signature


class Seen:
    """What was kept before: about 100 bytes a dialogue for exact duplicates, 11 per permutation for near ones."""

    def __init__(self, near: NearDuplicates | None) -> None:
        self._exact: dict[bytes, int] = {}
        self._near = _deduplicator(near) if near else None

    def equal(self, key: bytes, number: int) -> int | None:
        """The number of the equal dialogue kept before; none is: this one is kept under its own."""
        before = self._exact.setdefault(key, number)
        return None if before == number else before

    def similar(self, signature: Any, number: int) -> int | None:
        """The number of a similar dialogue kept before; if none is, this one is kept under its own."""
        assert self._near is not None
        if self._near.add(str(number), signature):
            return None
        return min(map(int, self._near.get_duplicates(signature)), default=-1)


def _deduplicator(settings: NearDuplicates) -> Any:
    import rensa

    return rensa.RMinHashDeduplicator(
        threshold=settings.max_similarity, num_perm=settings.permutations, use_lsh=True,
        num_bands=bands(settings.permutations, settings.max_similarity), seed=PERMUTATION_SEED,
    )  # fmt: skip


def bands(permutations: int, threshold: float) -> int:
    """Bands of the locality-sensitive hashing: the fewest with which 90 % of the pairs at the threshold are compared.

    A pair of similarity s shares one of b bands of r hashes with probability 1 - (1 - s^r)^b; every pair that does is
    then compared by all its hashes, so more bands cost memory, never precision. At 0.8 with 128 hashes: 16 bands, and
    99 % of the pairs of similarity 0.85.
    """
    fitting = [each for each in range(1, permutations + 1) if permutations % each == 0]
    for each in fitting:
        if 1 - (1 - threshold ** (permutations / each)) ** each >= 0.9:
            return each
    return fitting[-1]
