"""Near duplicates by ROUGE-L: the same as comparing everything with everything."""

import random

import pytest

from zephyr.data.dialogues.similar import near_duplicates, words


def rouge_l(a: list[str], b: list[str]) -> float:
    """F1 by the textbook: longest common subsequence by dynamic programming."""
    row = [0] * (len(b) + 1)
    for x in a:
        before = row[:]
        for n, y in enumerate(b, start=1):
            row[n] = before[n - 1] + 1 if x == y else max(before[n], row[n - 1])
    return 2 * row[-1] / (len(a) + len(b))


@pytest.mark.parametrize("most", [0.4, 0.7, 0.9])
def test_the_same_are_dropped_as_when_all_are_compared(most):
    rng = random.Random(most)
    texts: list[str] = []
    for _ in range(250):
        if texts and rng.random() < 0.6:
            some = rng.choice(texts).split()
            texts.append(" ".join(word for word in some if rng.random() > 0.2) or "a")
        else:
            texts.append(" ".join(rng.choice("abcdefghijklmnopqrst") * 3 for _ in range(rng.randint(1, 20))))
    kept: list[int] = []
    expected: dict[int, int] = {}
    for n, text in enumerate(texts):
        like = next((k for k in kept if rouge_l(words(text), words(texts[k])) > most), None)
        expected |= {} if like is None else {n: like}
        kept += [n] if like is None else []
    found = near_duplicates(texts, most)
    assert found.keys() == expected.keys() and len(found) > 30
    assert all(n not in found and rouge_l(words(texts[k]), words(texts[n])) > most for k, n in found.items())


def test_case_and_punctuation_do_not_count_and_every_script_has_words():
    assert near_duplicates(["What is it?", "what is IT", "What was it?"], 1.0) == {1: 0}
    assert words("東京は") == ["東", "京", "は"] and words("Ärger, a-b") == ["ärger", "a", "b"]
    assert near_duplicates(["日本の首都はどこですか", "日本の首都はどこですか?", "猫が好きです"], 0.7) == {1: 0}
