"""AlpacaEval from stored answers to figures, by a judge over HTTP; the paper's version and the weighted one."""

import json
from pathlib import Path

import pytest

from tests.evaluate.benchmark_files import PAIR_PROMPT, outputs
from tests.evaluate.replay_server import requests, serving
from tests.teacher.server import serving as serving_words
from zephyr.cli import main
from zephyr.errors import UserError
from zephyr.evaluate.alpaca_eval.files import read_annotations, read_outputs
from zephyr.evaluate.alpaca_eval.judging import is_switched, messages
from zephyr.recipe import load
from zephyr.run import execute

BASELINE = [f"short {n}" for n in range(12)]
OURS = [f"a long answer {n}" for n in range(11)] + ["short 11"]
"""The last one is the baseline's: a draw that nobody is asked about."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEPHYR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ZEPHYR_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.delenv("ZEPHYR_OFFLINE", raising=False)


def write(folder: Path, base_url: str, *, judge: str = "judge", **more: object) -> Path:
    outputs(folder / "baseline.json", "text_davinci_003", BASELINE)
    outputs(folder / "ours.json", "whoever", OURS)
    (folder / "prompt.txt").write_text(PAIR_PROMPT)
    settings = {"baseline": str(folder / "baseline.json"), "prompt": str(folder / "prompt.txt"),
                "answers": {"ours": str(folder / "ours.json")}, **more}  # fmt: skip
    path = folder / "evaluate.yaml"
    path.write_text(
        f"stage: evaluate\nseed: 0\njudge: {{model: {judge}, base_url: {base_url!r}, max_attempts: 1}}\n"
        f"benchmarks:\n  alpaca_eval: {json.dumps(settings)}\n"
    )
    return path


def prefers_ours(n: int) -> bool:
    return n % 4 != 0


def rankings(*, garbled: tuple[int, ...] = ()) -> dict[str, str]:
    """What a judge says that prefers our answer but to every fourth instruction, wherever it is shown."""
    known = {}
    for n, (theirs, ours) in enumerate(zip(BASELINE, OURS, strict=True)):
        prompt = messages(PAIR_PROMPT, f"Do {n}", theirs, ours)[-1]["content"]
        first = prefers_ours(n) == is_switched(f"Do {n}")  # switched: ours is shown first
        ranks = (1, 2) if first else (2, 1)
        said = f"[{{'model': 'model_1', 'rank': {ranks[0]}}}, {{'model': 'model_2', 'rank': {ranks[1]}}}]"
        known[prompt] = "Both are fine." if n in garbled else said
    return known


def test_stored_answers_are_judged_and_scored(tmp_path):
    with serving(rankings(), tmp_path) as base_url:
        loaded = load(write(tmp_path, base_url))
        result = execute(loaded)
    found = result["scores"]["ours"]["alpaca_eval"]
    assert (found["wins"], found["losses"], found["draws"], found["n"], found["n_failed"]) == (8, 3, 1, 12, 0)
    assert found["score"] == pytest.approx(100 * 8.5 / 12)
    assert found["baseline"] == "text_davinci_003" and found["length"] > found["baseline_length"]
    assert len(requests(tmp_path)) == 11
    annotations = read_annotations(loaded.run_dir / "alpaca_eval/annotations.json")
    assert {is_switched(each.instruction) for each in annotations} == {True, False}
    assert [each.preference for each in annotations] == [2 if prefers_ours(n) else 1 for n in range(11)] + [1.5]
    assert "rank" in (annotations[0].raw_completion or "")
    assert main(["score", str(loaded.run_dir / "alpaca_eval/annotations.json")]) == 0
    # marked: neither the paper's files nor its judge
    assert ["another prompt or other answers" in each or "not by the paper's gpt-4" in each
            for each in result["warnings"]] == [True, True]  # fmt: skip


def test_the_name_gpt_4_alone_is_not_the_papers_judge(tmp_path):
    with serving(rankings(), tmp_path) as base_url:
        result = execute(load(write(tmp_path, base_url, judge="gpt-4")))
    assert result["scores"]["ours"]["alpaca_eval"]["judge"] == "gpt-4"  # with these files not `alpaca_eval_gpt4`


def test_what_cannot_be_read_is_no_score_and_too_much_is_refused(tmp_path):
    with serving(rankings(garbled=(2, 5)), tmp_path) as base_url:
        recipe = write(tmp_path, base_url)
        with pytest.raises(UserError, match=r"2 of 12 AlpacaEval judgments of ours \(16.67%\) came to nothing"):
            execute(load(recipe))
        result = execute(load(recipe, ["benchmarks.alpaca_eval.max_failed_share=0.2"]))
    found = result["scores"]["ours"]["alpaca_eval"]
    assert (found["n"], found["n_failed"]) == (10, 2)
    assert found["score"] == pytest.approx(100 * 6.5 / 10)
    assert len(requests(tmp_path)) == 11


def test_another_judge_is_calibrated_on_known_preferences(tmp_path):
    with serving(rankings(), tmp_path) as base_url:
        first = load(write(tmp_path, base_url))
        execute(first)
    known = first.run_dir / "alpaca_eval/annotations.json"
    contrary = {prompt: said.replace("'rank': 1", "'rank': 3").replace("'rank': 2", "'rank': 1").replace("3", "2")
                if "Do 1\n" in prompt else said for prompt, said in rankings().items()}  # fmt: skip
    with serving(contrary, tmp_path) as base_url:
        recipe = write(tmp_path, base_url, calibration=str(known))
        result = execute(load(recipe, [f"output_dir={tmp_path}/again"]))
    found = result["judging"]["alpaca_eval"]["calibration"]
    assert found["n"] == 12 and found["same"] == pytest.approx(11 / 12)
    assert found["offset"] == pytest.approx(-100 / 12)
    assert any("points off" in each for each in result["warnings"])


def test_a_server_without_log_probabilities_is_refused_for_version_2(tmp_path):
    with serving(rankings(), tmp_path) as base_url:
        recipe = write(tmp_path, base_url, version=2)
        with pytest.raises(UserError, match="version 2 weighs the log-probabilities of one token, and judge at http"):
            execute(load(recipe))


def test_version_2_in_this_process_weighs_log_probabilities(tiny_tokenizer, tmp_path):
    """A model that says `m` or `M` as its weights have it: a real one, untrained."""
    torch = pytest.importorskip("torch")
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    config = MistralConfig(vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                           num_attention_heads=1, num_key_value_heads=1, max_position_embeddings=2048)  # fmt: skip
    model = MistralForCausalLM(config)
    with torch.no_grad():  # whatever it is asked: m and M, and m twice as likely
        for weights in model.parameters():
            weights.zero_()
        model.model.embed_tokens.weight.fill_(1)
        model.model.norm.weight.fill_(1)
        first, second = (tokenizer.convert_tokens_to_ids(each) for each in ("m", "M"))
        model.lm_head.weight[first], model.lm_head.weight[second] = 5.0 + 0.6931472 / 8, 5.0
    model.save_pretrained(tmp_path / "judge")
    tokenizer.save_pretrained(tmp_path / "judge")
    recipe = write(tmp_path, "", version=2)
    text = recipe.read_text().replace("base_url: '', max_attempts: 1", "batch_size: 4")
    recipe.write_text(text.replace("model: judge", f"model: {tmp_path}/judge"))
    loaded = load(recipe)
    result = execute(loaded)
    annotations = read_annotations(loaded.run_dir / "alpaca_eval/annotations.json")
    for each in annotations[:-1]:  # the answer shown first is better with probability 2/3
        expected = 5 / 3 if is_switched(each.instruction) else 4 / 3
        assert each.preference == pytest.approx(expected, abs=1e-3)
    assert result["scores"]["ours"]["alpaca_eval"]["n"] == 12


def test_models_behind_an_endpoint_answer_what_is_judged(tmp_path):
    with serving_words(tmp_path / "log", n_words=5) as answering, serving({}, tmp_path) as base_url:
        recipe = write(tmp_path, base_url, answers={})
        recipe.write_text(recipe.read_text() + f"endpoints: {{asked: {{model: some, base_url: {answering!r}}}}}\n")
        loaded = load(recipe)
        assert main(["run", str(recipe), "until=generate"]) == 0
    found = read_outputs(loaded.run_dir / "alpaca_eval/outputs/asked.json")
    assert [each.instruction for each in found] == [f"Do {n}" for n in range(12)]
    assert {each.generator for each in found} == {"asked"} and all(each.output.startswith("answer") for each in found)
    about = json.loads((loaded.run_dir / "alpaca_eval/outputs/asked.seen.json").read_text())
    assert (about["served"], about["calls"]) == ({"some": 12}, 12)


def test_the_published_annotations_hold_the_baseline(shared):
    from zephyr.evaluate.alpaca_eval.files import V1_BASELINE, fingerprint
    from zephyr.evaluate.alpaca_eval.rows import read_baseline
    from zephyr.evaluate.published import ALPACA_EVAL_BASELINE, sha256_of

    file = shared / "alpaca_eval/zephyr-7b-beta/annotations.json"
    assert sha256_of(file) == ALPACA_EVAL_BASELINE.sha256
    assert fingerprint(read_baseline(file)) == V1_BASELINE
