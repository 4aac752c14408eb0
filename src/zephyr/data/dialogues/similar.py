"""Near duplicates by ROUGE-L, as Self-Instruct drops them: exact, without comparing each text with all others.

ROUGE-L's F1 of two texts of m and n words with a longest common subsequence of l words is 2l / (m + n), which rapidfuzz
computes as the normalised Indel similarity. Above a threshold t the texts share more than t(m + n)/2 words, and n is
between m t/(2 - t) and m (2 - t)/t; so they share one of the rarest m - m t/(2 - t) + 1 words of either (prefix
filtering, as in set-similarity joins), and only texts that do are compared.
"""

import math
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence

_WORD = re.compile(r"\w+", re.UNICODE)
_SINGLE = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def words(text: str) -> list[str]:
    """Words without case and punctuation; scripts without spaces between words go by the character."""
    lowered = _SINGLE.sub(lambda found: f" {found[0]} ", text.casefold())
    return _WORD.findall(lowered)


def near_duplicates(texts: Sequence[str], most: float) -> dict[int, int]:
    """Index of each text that is too similar to one kept before it -> index of that one.

    Args:
        texts: in order of preference; the first of a group is kept.
        most: highest ROUGE-L F1 that two kept texts may have; 1 drops nothing but equal word sequences.
    """
    split = [words(text) for text in texts]
    frequency = Counter(word for each in split for word in each)
    number = {word: n for n, (word, _) in enumerate(sorted(frequency.items(), key=lambda item: (item[1], item[0])))}
    # a word as one character: rapidfuzz is fastest on text. More words than characters: the commonest share one,
    # which may drop a text too many in a set of millions of texts
    rows = ["".join(chr(min(number[word], sys.maxunicode)) for word in each) for each in split]
    seen: dict[str, int] = {}
    by_word: dict[tuple[str, int], list[int]] = defaultdict(list)
    dropped: dict[int, int] = {}
    for n, row in enumerate(rows):
        found = seen[row] if row in seen else _similar(row, rows, by_word, most)
        if found is not None:
            dropped[n] = found
            continue
        seen[row] = n
        for key in _prefix(row, most):
            by_word[key].append(n)
    return dropped


def _prefix(row: str, most: float) -> list[tuple[str, int]]:
    """The rarest words, of which a similar text has at least one; a word's second occurrence counts as another."""
    times: Counter[str] = Counter()
    tokens = []
    for word in row:
        tokens.append((word, times[word]))
        times[word] += 1
    tokens.sort()
    return tokens[: len(row) - math.ceil(len(row) * most / (2 - most)) + 1]


def _similar(row: str, rows: list[str], by_word: dict[tuple[str, int], list[int]], most: float) -> int | None:
    """The first text kept before that is more similar than allowed."""
    from rapidfuzz.distance import Indel

    lowest, highest = len(row) * most / (2 - most), len(row) * (2 - most) / most
    candidates = {n for key in _prefix(row, most) for n in by_word.get(key, ())}
    for n in sorted(candidates):
        if lowest <= len(rows[n]) <= highest and Indel.normalized_similarity(row, rows[n], score_cutoff=most) > most:
            return n
    return None
