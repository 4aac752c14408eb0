"""End to end: from files to what the trainer is given."""

import json
import multiprocessing
from dataclasses import replace

import pytest

from zephyr.data import prepare, stored
from zephyr.data.prepare import prepare_command
from zephyr.data.tokens.tokenize import Tokenizer
from zephyr.errors import UserError


def chat(question, answer="It is so."):
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def chats(start, stop):
    return [chat(f"What is {n}?", f"It is {n}, the one after {n - 1}.") for n in range(start, stop)]


def pairs(start, stop):
    return [{"prompt": f"What is {n}?", "chosen": f"It is {n}.", "rejected": f"No {n}."} for n in range(start, stop)]


def flat(dataset, column="input_ids"):
    return [id for row in dataset[column] for id in row]


def documents(ids, eos=2):
    """The rows inside packed ids: each ends with the EOS appended to it."""
    text = " ".join(map(str, ids))
    return sorted((text + " ").split(f" {eos} "))


def test_wrapped_sequences_hold_every_token_of_every_row(make_recipe, write):
    train, held_out = (
        write([{"text": f"The number {n}."} for n in range(99)]),
        write([{"text": "Held out."}], "e.jsonl"),
    )
    wrapped = prepare(make_recipe("cpt", train, held_out, max_length=32))
    apart = prepare(make_recipe("cpt", train, held_out, max_length=32, packing="none"))
    lengths = [len(row) for row in wrapped.train["input_ids"]]
    assert set(lengths[:-1]) == {32} and 0 < lengths[-1] <= 32
    assert documents(flat(wrapped.train)) == documents(flat(apart.train))
    assert flat(wrapped.train) != flat(apart.train), "packed rows are shuffled"
    assert flat(wrapped.train, "labels") == flat(wrapped.train)
    counts = wrapped.counts["train"]
    assert (counts.rows_read, counts.rows_used, counts.sequences) == (99, 99, len(lengths))
    assert counts.tokens == counts.loss_tokens == sum(lengths) == apart.counts["train"].tokens
    assert (counts.longest, counts.truncated_rows, counts.dropped_tokens) == (32, 0, 0)
    assert wrapped.counts["eval"].sequences == len(wrapped.eval) == 1


def test_fitted_sequences_hold_every_token_and_say_where_documents_start(make_recipe, write):
    train = write([{"text": "The number " + " and ".join(map(str, range(n % 30)))} for n in range(1, 60)])
    fitted, apart = (prepare(make_recipe("cpt", train, max_length=32, packing=how)) for how in ("bfd_split", "none"))
    rows = list(fitted.train)
    assert sum(sum(row["seq_lengths"]) for row in rows) == sum(len(row["input_ids"]) for row in rows)
    counts, cut = fitted.counts["train"], apart.counts["train"]
    assert counts.tokens == cut.tokens + cut.dropped_tokens and counts.dropped_tokens == 0 < cut.dropped_tokens
    assert all(row["labels"][0] == -100 for row in rows)
    assert counts.tokens - counts.loss_tokens == sum(len(row["seq_lengths"]) for row in rows)


def test_packing_follows_the_seed_and_eval_is_not_shuffled(make_recipe, write):
    train, held_out = write(chats(0, 40)), write(chats(40, 60), "eval.jsonl")
    one, same, other = (prepare(make_recipe("sft", train, held_out, seed=seed)) for seed in (1, 1, 2))
    assert flat(one.train) == flat(same.train) != flat(other.train)
    assert flat(one.eval) == flat(other.eval)


def test_rows_cut_to_the_window_are_counted(make_recipe, write):
    path = write([chat("a", "word " * 200), chat("b")])
    prepared = prepare(make_recipe("sft", path, packing="none", max_length=64))
    whole = prepare(make_recipe("sft", path, packing="none", max_length=4000))
    cut = prepared.counts["train"]
    assert len(prepared.train[0]["input_ids"]) == cut.longest == 64
    assert (cut.truncated_rows, cut.dropped_tokens) == (1, whole.counts["train"].tokens - cut.tokens)
    assert prepared.train["input_ids"][0] == whole.train["input_ids"][0][:64]


def test_a_prompt_that_fills_the_window_cannot_be_used(make_recipe, write):
    path = write([chat("word " * 200), chat("b")])
    recipe = make_recipe("sft", path, packing="none", max_length=64, loss_on="completion", max_unusable_share=0.5)
    prepared = prepare(recipe)
    assert [(row.line, row.reason) for row in prepared.unusable] == [
        (1, "prompt longer than the window (no answer left)")
    ]
    assert len(prepared.train) == 1
    listed = [json.loads(line) for line in (prepared.folder / "unusable.jsonl").read_text().splitlines()]
    assert listed[0]["line"] == 1
    assert any(label == -100 for label in flat(prepared.train, "labels"))


def test_pairs_are_cut_and_counted(make_recipe, write):
    long = {"prompt": "word " * 100, "chosen": "yes " * 100, "rejected": "no"}
    recipe = make_recipe("dpo", write([*pairs(0, 3), long]), max_length=96, max_prompt_length=32)
    prepared = prepare(recipe)
    assert prepared.train.column_names == ["prompt_ids", "chosen_ids", "rejected_ids"]
    row = prepared.train[3]
    assert (len(row["prompt_ids"]), len(row["chosen_ids"])) == (32, 64) and len(row["rejected_ids"]) < 10
    counts = prepared.counts["train"]
    assert (counts.sequences, counts.truncated_rows, counts.longest) == (4, 1, 96)
    sums = [len(flat(prepared.train, f"{part}_ids")) for part in ("prompt", "chosen", "rejected")]
    assert [counts.prompt_tokens, counts.chosen_tokens, counts.rejected_tokens] == sums
    assert counts.tokens == 2 * sums[0] + sums[1] + sums[2] and counts.loss_tokens == sums[1] + sums[2]


def test_pairs_that_are_equal_once_cut_cannot_be_used(make_recipe, write):
    same_start = {"prompt": "a", "chosen": "word " * 100 + "yes", "rejected": "word " * 100 + "no"}
    recipe = make_recipe("dpo", write([*pairs(0, 3), same_start]), max_unusable_share=0.25)
    assert [row.reason for row in prepare(recipe).unusable] == ["chosen equal to rejected once cut to the window"]


def test_no_room_for_answers_is_refused(make_recipe, write):
    with pytest.raises(UserError, match=r"data\.max_prompt_length: 128 leaves no room"):
        prepare(make_recipe("dpo", write(pairs(0, 3)), max_length=128, max_prompt_length=128))


def test_unusable_rows_are_refused_and_listed_in_a_file(make_recipe, write, own_cache):
    recipe = make_recipe("sft", write([*chats(0, 9), chat("q", "")]), max_unusable_share=0.05)
    with pytest.raises(UserError, match=r"1 of 10 rows \(10\.00%\) cannot be used") as error:
        prepare(recipe)
    (listed,) = (own_cache / "unusable").iterdir()
    assert str(listed) in str(error.value) and "empty answer" in listed.read_text()
    assert stored(recipe) is None


def test_a_stored_result_is_refused_to_a_stricter_recipe(make_recipe, write):
    path = write([*chats(0, 9), chat("q", "")])
    prepared = prepare(make_recipe("sft", path, max_unusable_share=0.1))
    assert prepared.counts["train"].unusable == {"empty answer": 1}
    with pytest.raises(UserError, match="1 of 10 rows"):
        prepare(make_recipe("sft", path))


def test_every_row_unusable_is_refused_whatever_is_allowed(make_recipe, write):
    with pytest.raises(UserError, match="none of 2 rows can be used: 2 x empty answer"):
        prepare(make_recipe("sft", write([chat("a", ""), chat("b", "")]), max_unusable_share=1.0))


def test_overlap_is_refused(make_recipe, write):
    with pytest.raises(UserError, match="1 of 2 rows have a prompt that is in data"):
        prepare(make_recipe("sft", write(chats(0, 10)), write(chats(9, 11), "eval.jsonl")))


def test_what_was_stored_is_read_back(make_recipe, write):
    recipe = make_recipe("sft", write(chats(0, 20)), write(chats(20, 24), "eval.jsonl"))
    assert stored(recipe) is None
    first = prepare(recipe)
    assert stored(recipe) == first.counts
    written = (first.folder / "prepared.json").stat().st_mtime_ns
    again = prepare(replace(recipe, train=replace(recipe.train, learning_rate=9.0)))
    assert again.folder == first.folder and (first.folder / "prepared.json").stat().st_mtime_ns == written
    assert flat(again.train) == flat(first.train) and again.counts == first.counts


@pytest.mark.parametrize("change", ["file", "seed", "max_length", "template", "tokenizer"])
def test_what_determines_the_data_makes_them_anew(make_recipe, write, sentencepiece, tmp_path, change):
    path = write(chats(0, 20))
    (tmp_path / "t.jinja").write_text("{% for m in messages %}{{ m.role ~ m.content ~ eos_token }}{% endfor %}")
    template = str(tmp_path / "t.jinja")
    first = prepare(make_recipe("sft", path, chat_template=template))
    data = {"chat_template": template}
    if change == "file":
        write(chats(1, 21))
    if change == "template":
        (tmp_path / "t.jinja").write_text("{% for m in messages %}{{ m.content ~ eos_token }}{% endfor %}")
    data |= {"seed": 4} if change == "seed" else {}
    data |= {"max_length": 64} if change == "max_length" else {}
    data |= {"tokenizer": sentencepiece} if change == "tokenizer" else {}
    second = prepare(make_recipe("sft", path, **data))
    assert second.folder != first.folder
    assert flat(second.train) != flat(first.train) or change == "max_length"


def test_a_second_launch_with_another_beta_and_rate_tokenizes_nothing(make_recipe, write, monkeypatch, capsys):
    recipe = make_recipe("dpo", write(pairs(0, 40)), write(pairs(40, 50), "eval.jsonl"))
    prepare_command(recipe)
    assert "prepared: " in (said := capsys.readouterr().out) and "train: 40 of 40 rows, 40 pairs" in said
    monkeypatch.setattr(Tokenizer, "encode", lambda *_: pytest.fail("it tokenizes again"))
    swept = replace(recipe, train=replace(recipe.train, beta=0.5, learning_rate=1e-7, loss_type="ipo"), output_dir="x")
    prepare_command(swept)
    assert f"prepared before: {prepare(recipe).folder}" in capsys.readouterr().out


def test_sources_for_provenance(make_recipe, write):
    train = [write(chats(0, 20)), {"path": write(chats(20, 40), "more.jsonl"), "rows": 5}]
    prepared = prepare(make_recipe("sft", train, write(chats(40, 44), "eval.jsonl")))
    assert [(source["split"], source["rows"], len(source["sha256"])) for source in prepared.sources] == [
        ("train", 20, 64), ("train", 5, 64), ("eval", 4, 64),
    ]  # fmt: skip
    assert "<|" in prepared.template


def test_nothing_is_stored_of_a_recipe_whose_inputs_are_not_there(make_recipe, tmp_path):
    assert stored(make_recipe("sft", "nowhere.jsonl")) is None
    assert stored(make_recipe("sft", "nowhere.jsonl", tokenizer=tmp_path / "none")) is None


def test_whether_data_are_stored_is_known_without_the_network(make_recipe, write, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    assert stored(make_recipe("sft", {"path": "nobody/nothing", "split": "train"})) is None
    assert stored(make_recipe("sft", write(chats(0, 3)), tokenizer="nobody/nothing")) is None


def _prepare(recipe, queue):
    prepared = prepare(recipe)
    queue.put((str(prepared.folder), flat(prepared.train)))


def test_several_processes_at_once_get_the_same(make_recipe, write, own_cache):
    recipe = make_recipe("sft", write(chats(0, 200)))
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=_prepare, args=(recipe, queue)) for _ in range(3)]
    for process in processes:
        process.start()
    found = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert found[0] == found[1] == found[2]
    assert len([path for path in (own_cache / "prepared").iterdir() if path.is_dir()]) == 1


def test_a_half_written_store_is_not_taken_for_a_whole_one(make_recipe, write):
    recipe = make_recipe("sft", write(chats(0, 20)))
    first = prepare(recipe)
    for file in first.folder.iterdir():
        file.unlink()
    assert stored(recipe) is None
    assert flat(prepare(recipe).train)


# Real data


def test_alpaca(make_recipe, shared):
    prepared = prepare(make_recipe("sft", shared / "dialogues/alpaca_en_demo.json", max_length=512))
    assert prepared.counts["train"].rows_used == 999 and not prepared.unusable


def test_llama_factory_pairs(make_recipe, shared):
    recipe = make_recipe("dpo", shared / "dialogues/dpo_en_demo.json", max_length=1024, max_prompt_length=512)
    counts = prepare(recipe).counts["train"]
    assert counts.rows_used == 300 and counts.longest == 1024


def test_ultrafeedback(make_recipe, shared):
    folder = shared / "ultrafeedback"
    data = {"max_length": 1024, "max_prompt_length": 512}
    with pytest.raises(UserError, match="chosen equal to rejected"):
        prepare(make_recipe("dpo", folder / "train.jsonl", folder / "test.jsonl", **data))
    prepared = prepare(
        make_recipe("dpo", folder / "train.jsonl", folder / "test.jsonl", max_unusable_share=0.01, **data)
    )
    assert prepared.counts["train"].rows_read == 1000 and prepared.counts["eval"].rows_read == 200
    train = prepared.counts["train"]
    assert train.rows_used + sum(train.unusable.values()) == 1000
    assert {"chosen equal to rejected", "empty answer"} <= set(train.unusable)
    columns = (prepared.train[name] for name in prepared.train.column_names)
    lengths = [len(p) + max(len(c), len(r)) for p, c, r in zip(*columns, strict=True)]
    assert max(lengths) == train.longest <= 1024


def test_hh_transcripts(make_recipe, shared):
    file, window = shared / "dialogues/hh_rlhf_harmless_test.jsonl.gz", {"max_length": 512, "max_prompt_length": 256}
    recipe = make_recipe("dpo", file, max_unusable_share=0.02, **window)
    train = prepare(recipe).counts["train"]
    assert train.rows_read == 2312 and train.rows_used > 2270
