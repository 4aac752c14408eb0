import pytest

from zephyr.data.tokens.truncate import Pair, truncate_pair


def ids(start, n):
    return list(range(start, start + n))


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        # prompt, chosen, rejected at max_length 10, max_prompt_length 6, after TRL 0.7's tokenize_batch_element
        ((4, 6, 5), (4, 6, 5)),  # exactly fits
        ((6, 4, 4), (6, 4, 4)),
        ((9, 3, 4), (6, 3, 4)),  # prompt cut, then fits
        ((9, 3, 5), (6, 3, 4)),  # prompt cut, rejected too
        ((9, 9, 5), (6, 4, 4)),  # both answers cut, though only one is too long with the cut prompt
        ((2, 9, 3), (2, 4, 3)),  # a short prompt does not lend its room to the answers
        ((2, 3, 9), (2, 3, 4)),
        ((20, 1, 1), (6, 1, 1)),
    ],
)
def test_golden_lengths(lengths, expected):
    prompt, chosen, rejected = lengths
    pair = Pair(ids(0, prompt), ids(100, chosen), ids(200, rejected))
    cut = truncate_pair(pair, max_length=10, max_prompt_length=6)
    assert tuple(len(part) for part in cut) == expected


def test_the_prompt_keeps_its_end_and_the_answers_their_start():
    pair = Pair(ids(0, 20), ids(100, 20), ids(200, 3))
    assert truncate_pair(pair, 10, 6) == Pair(ids(14, 6), ids(100, 4), ids(200, 3))


def reference(prompt, chosen, rejected, max_length, max_prompt_length):
    """The rule as TRL 0.7.4 writes it (truncation_mode keep_end), kept as one loop over the three parts."""
    longer = max(len(chosen), len(rejected))
    if len(prompt) + longer > max_length:
        prompt = prompt[-max_prompt_length:]
    if len(prompt) + longer > max_length:
        chosen, rejected = chosen[: max_length - max_prompt_length], rejected[: max_length - max_prompt_length]
    return prompt, chosen, rejected


def test_equals_the_original_rule_everywhere():
    for prompt in range(1, 14):
        for chosen in range(1, 14):
            for rejected in range(1, 14):
                parts = ids(0, prompt), ids(100, chosen), ids(200, rejected)
                assert tuple(truncate_pair(Pair(*parts), 10, 4)) == reference(*parts, 10, 4)
