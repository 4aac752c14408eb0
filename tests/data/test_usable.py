import pytest

from zephyr.data.counts import OVERLAP, refuse_unusable
from zephyr.data.usable import part_splits, prompt_hash, read_split
from zephyr.errors import UserError
from zephyr.recipe.sections import Source


def chat(question, answer="Yes."):
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def split(stage, name, *paths):
    return read_split(stage, name, [Source(path=path) for path in paths], seed=1, eos="</s>")


def test_every_row_is_used_or_listed_with_its_place(write):
    good = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
    path = write(good + '{"messages": [{"role"\n' + '{"messages": []}\n' + '{"text": "x"}\n' + good)
    found = split("sft", "train", path)
    assert (found.rows_read, found.rows_by_source, len(found.usable)) == (5, [5], 2)
    assert [(row.split, row.line, row.reason) for row in found.unusable] == [
        ("train", 2, "invalid JSON"), ("train", 3, "empty conversation"), ("train", 4, "other columns than the rest"),
    ]  # fmt: skip
    assert found.unusable[0].where == f"{path}:2"


def test_sources_follow_each_other_and_may_differ_in_shape(write):
    one = write([chat("a")])
    two = write([{"instruction": "b", "output": "c"}], "two.jsonl")
    found = split("sft", "train", one, two)
    assert [usable.value[0]["content"] for usable in found.usable] == ["a", "b"]
    assert found.rows_by_source == [1, 1]


def test_a_source_whose_first_row_has_no_known_shape_is_refused(write):
    with pytest.raises(UserError, match="question, answer"):
        split("sft", "train", write([{"question": "a", "answer": "b"}]))


def test_no_rows_at_all(write):
    with pytest.raises(UserError, match="no rows at all"):
        split("sft", "train", write("\n"))


def test_rows_with_the_eos_token_in_their_own_text_are_counted(write):
    found = split("sft", "train", write([chat("a", "b</s>c"), chat("d")]))
    assert (found.eos_inside, len(found.usable)) == (1, 2)


def test_overlap_is_refused_with_count_and_places(write):
    train = split("sft", "train", write([chat(f"Question {n}") for n in range(10)]))
    held_out = split("sft", "eval", write([chat("  question\n3 "), chat("QUESTION 7"), chat("other")], "eval.jsonl"))
    with pytest.raises(UserError) as error:
        part_splits(train, held_out)
    text = str(error.value)
    assert "2 of 3 rows" in text and "eval.jsonl:1 = " in text and "train.jsonl:4" in text


def test_overlap_is_dropped_from_eval_alone_and_listed(write):
    train = split("sft", "train", write([chat(f"Question {n}") for n in range(10)]))
    held_out = split("sft", "eval", write([chat("question 3"), chat("other"), chat("QUESTION 7")], "eval.jsonl"))
    part_splits(train, held_out, drop=True)
    assert len(train.usable) == 10 and len(held_out.usable) == 1
    assert [(row.reason, row.line) for row in held_out.unusable] == [(OVERLAP, 1), (OVERLAP, 3)]
    refuse_unusable("eval", 3, held_out.unusable, 0.0, "list.jsonl")  # not a fault of the rows


def test_no_overlap_between_different_prompts(write):
    train, held_out = (
        split("sft", "train", write([chat("a"), chat("b")])),
        split("sft", "eval", write([chat("c")], "e.jsonl")),
    )
    part_splits(train, held_out)
    assert (len(train.usable), len(held_out.usable), held_out.unusable) == (2, 1, [])


def test_the_prompt_is_all_turns_before_the_last_answer_without_the_system_turn():
    first, second = chat("Hi", "Hello")["messages"], chat("How?")["messages"]
    system = [{"role": "system", "content": "Be brief"}]
    assert prompt_hash(first) == prompt_hash(system + first)
    assert prompt_hash(first) != prompt_hash(first + second)
    assert prompt_hash(first + second) != prompt_hash([*chat("Hi", "Bye")["messages"], *second])


def test_overlap_of_documents_and_of_pairs(write):
    documents = write([{"text": "The sea."}])
    with pytest.raises(UserError, match="1 of 1 rows"):
        part_splits(split("cpt", "train", documents), split("cpt", "eval", documents))
    train = write([{"prompt": "a", "chosen": "b", "rejected": "c"}], "pairs.jsonl")
    held_out = write([{"prompt": "A", "chosen": "x", "rejected": "y"}], "held_out.jsonl")
    with pytest.raises(UserError, match="1 of 1 rows"):
        part_splits(split("dpo", "train", train), split("dpo", "eval", held_out))
