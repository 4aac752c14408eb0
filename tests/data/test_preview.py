import io

import pytest
from rich.console import Console

from zephyr.data.preview import preview
from zephyr.errors import UserError


def shown(recipe, n=3, width=200):
    out = Console(file=io.StringIO(), width=width, color_system=None)
    preview(recipe, n, out)
    return out.file.getvalue()


def chat(question, answer):
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def test_a_conversation_with_its_loss_marked_without_colour(make_recipe, write):
    text = shown(
        make_recipe("sft", write([chat("Say \x1b[31mred", "Red, of [bold]course[/bold]")]), loss_on="assistant")
    )
    lines = [line.rstrip() for line in text.splitlines()]
    assert "train.jsonl:1" in text and "loss on assistant" in text
    assert "+ loss · " in text
    assert "  + Red, of [bold]course[/bold]</s>" in lines
    assert "    <|assistant|>" in lines, "a line without loss has no mark"
    assert "2 </s>" in text, "ids are shown with their tokens"
    assert "\x1b" not in text and "\\x1b[31mred" in text, "data cannot steer the terminal"


def test_what_is_cut_off_is_shown(make_recipe, write):
    text = shown(make_recipe("sft", write([chat("a", "word " * 100)]), packing="none", max_length=32))
    assert "- cut off" in text and "rows cut to the window" in text


def test_a_pair(make_recipe, write):
    rows = [{"prompt": f"q{n}", "chosen": "yes " * 90 * (n == 0) + "yes", "rejected": "no"} for n in range(5)]
    text = shown(make_recipe("dpo", write(rows)), n=2)
    for said in ("no loss · prompt", "+ loss · chosen", "+ loss · rejected", "- cut off · chosen, its end", "pairs"):
        assert said in text
    assert "row 1 of train" in text and "row 2 of train" in text
    assert "row 3 of train" not in text


def test_a_document(make_recipe, write):
    text = shown(make_recipe("cpt", write([{"text": "The sea is blue."}])))
    assert "+ The sea is blue.</s>" in text


def test_rows_left_out_are_shown_by_reason(make_recipe, write):
    rows = [*(chat(f"q{n}", "a") for n in range(8)), chat("the silent one", ""), {"messages": [{"role": "bot"}]}]
    text = shown(make_recipe("sft", write(rows), max_unusable_share=0.5))
    assert "2 rows are left out" in text and "empty answer" in text and "unknown role 'bot'" in text
    assert ":9: the silent one" in text


def test_rows_are_shown_even_when_the_data_is_then_refused(make_recipe, write):
    recipe = make_recipe("sft", write([chat("shown", "first"), chat("b", "")]))
    out = Console(file=io.StringIO(), width=100)
    with pytest.raises(UserError, match="1 of 2 rows"):
        preview(recipe, 3, out)
    assert "shown" in out.file.getvalue()
