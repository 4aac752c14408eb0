"""`zephyr plan STUDY`: runs counted once, what sharing saves, why not more, and the page of it."""

import io
import json
import shlex
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from tests.made_study import EVALUATE

from zephyr.cli import main
from zephyr.made_of import made_of
from zephyr.recipe import Loaded, load, resolved_yaml
from zephyr.recipe.known import Known
from zephyr.recipe.shipped import shipped_recipes
from zephyr.study.expand import Study, expand
from zephyr.study.plan.memory import memory_lines
from zephyr.study.plan.plan import StudyPlan, as_json, make_study_plan
from zephyr.study.plan.show import show_study_plan

PAPER = shipped_recipes() / "zephyr-7b-beta"
MINI = shipped_recipes() / "mini/studies"


def study_of(file: Path, outputs: Path) -> Study:
    return expand(load(file, outputs=outputs), outputs=outputs)


def plan_of(folder: Path, text: str) -> StudyPlan:
    """The plan of a study's text."""
    file = folder / "study.yaml"
    file.write_text(f"stage: study\ntitle: Some\n{text}")
    return make_study_plan(study_of(file, folder / "outputs"))


def page(plan: StudyPlan, width: int) -> str:
    """What the plan prints on a terminal of that width."""
    text = io.StringIO()
    show_study_plan(plan, Console(file=text, width=width))
    return text.getvalue()


def finish(loaded: Loaded, **result: object) -> None:
    """Leaves a run's directory as a finished run does."""
    loaded.run_dir.mkdir(parents=True, exist_ok=True)
    (loaded.run_dir / "recipe.yaml").write_text(resolved_yaml(loaded))
    (loaded.run_dir / "result.json").write_text(json.dumps(result))


# ------------------------------------------------------------------ the paper's Table 3


def test_table_3_of_the_paper_with_sharing_and_without(tmp_path: Path) -> None:
    plan = make_study_plan(study_of(PAPER / "studies/table-3.yaml", tmp_path))
    by_row = {row.name: plan.alone_of(row).hours for row in plan.study.rows}
    assert plan.alone.runs == 13 and plan.once.runs == 10
    assert plan.alone.hours == pytest.approx(sum(hours or 0 for hours in by_row.values()))
    assert plan.alone.hours == pytest.approx(9.26, abs=0.01)
    assert plan.once.hours == pytest.approx(3.87, abs=0.01)
    assert plan.once.gpu_hours == pytest.approx(16 * 3.87, abs=0.2)
    assert by_row["dSFT-1"] == pytest.approx(1.76, abs=0.01)
    assert plan.once.calls == plan.once.answers == 5 * 965  # half are judgments, half the rows' own models' answers
    assert plan.once.cost and 130 < plan.once.cost < 160


def test_table_3_agrees_with_an_independent_reckoning_of_989_tokens_a_pair(tmp_path: Path) -> None:
    """Published: 4.03 h with dSFT and the reference shared, at 40 % of 16 A100s' peak, pairs uncut."""
    tokens = "expect.tokens: 61300000"
    plan = plan_of(
        tmp_path,
        f"""rows:
  dDPO - dSFT: {{set: {{{tokens}, train.num_train_epochs: 1, model.model_name_or_path: mistralai/Mistral-7B-v0.1}}}}
  dSFT-2: {{recipe: {PAPER}/sft-2.yaml}}
  dDPO + dSFT: {{set: {{{tokens}, train.num_train_epochs: 1}}}}
  zephyr-7b-beta: {{set: {{{tokens}}}}}
recipe: {PAPER}/dpo.yaml
""",
    )
    assert plan.once.hours == pytest.approx(4.03, abs=0.03)


def test_a_reference_is_reckoned_once_for_all_that_look_it_up(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, f"recipe: {PAPER}/dpo.yaml\ngrid: {{beta: [0.1, 0.5], loss_type: [sigmoid, ipo]}}\n")
    compared = [each for each in plan.runs if each.work.loaded.recipe.stage == "dpo"]
    pass_hours = compared[0].takes.reference_hours
    assert [len(each.run_dirs) for each in plan.references] == [4]
    assert plan.looked_up_hours == pytest.approx(3 * pass_hours) and pass_hours > 0.1
    assert plan.once.hours == pytest.approx(sum(each.takes.hours or 0 for each in plan.runs) - 3 * pass_hours)
    assert [len(each.run_dirs) for each in plan.tokenised] == [1, 4]


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("grid: {beta: [0.1, 0.5], num_train_epochs: [1, 2]}", [4]),
        ("grid: {learning_rate: [1e-6, 5e-7], global_batch_size: [32, 64]}", [4]),
        ("grid: {max_prompt_length: [256, 512]}", [1, 1]),
        ("grid: {sft.num_train_epochs: [1, 2], beta: [0.1, 0.5]}", [2, 2]),
        ("grid: {model.dtype: [float32, bfloat16]}", [1, 1]),
        ("grid: {trl.ld_alpha: [0.5, 1.0]}", [1, 1]),
        ("rows: {a: {}, b: {set: {adapter: {r: 8, lora_alpha: 8}}}}", [2]),
        ("rows: {a: {}, b: {set: {trl.sync_ref_model: true}}}", [1]),
    ],
)
def test_which_runs_look_up_one_reference(tmp_path: Path, text: str, sizes: list[int]) -> None:
    plan = plan_of(tmp_path, f"recipe: {PAPER}/dpo.yaml\n{text}\n")
    assert [len(each.run_dirs) for each in plan.references] == sizes


# ------------------------------------------------------------------ why not more


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("", "the linear schedule ends at the last step and warmup is 10% of all steps"),
        ("lr_scheduler_type: cosine, warmup_steps: 10", "the cosine schedule ends at the last step, so"),
        ("lr_scheduler_type: constant_with_warmup", "warmup is 10% of all steps, so"),
    ],
)
def test_why_one_epoch_is_not_the_first_of_three(tmp_path: Path, settings: str, said: str) -> None:
    rows = [f"  '{n}': {{set: {{num_train_epochs: {n}, {settings}}}}}" for n in (1, 3)]
    plan = plan_of(tmp_path, "\n".join([f"recipe: {PAPER}/dpo.yaml", "rows:", *rows, ""]))
    (sentence,) = plan.apart
    assert sentence.startswith("zephyr-7b-beta/dpo for 1 and 3 epochs are trained apart") and said in sentence


@pytest.mark.parametrize("schedule", ["constant", "constant_with_warmup, warmup_steps: 50"])
def test_with_a_constant_rate_the_longer_training_goes_on_from_the_shorter(tmp_path: Path, schedule: str) -> None:
    rows = [f"  '{n}': {{set: {{num_train_epochs: {n}, lr_scheduler_type: {schedule}}}}}" for n in (3, 1, 2)]
    plan = plan_of(tmp_path, "\n".join([f"recipe: {PAPER}/dpo.yaml", "rows:", *rows, ""]))
    assert not plan.apart
    assert "zephyr-7b-beta/dpo for 1, 2 and 3 epochs are one training that goes on" in " ".join(plan.same)
    sft, *runs = (each for each in plan.runs if each.work.loaded.recipe.stage in ("sft", "dpo"))
    one, two = runs[:2]
    assert [each.work.continues for each in runs] == [None, one.work.loaded.run_dir, two.work.loaded.run_dir]
    assert two.work.needs == (sft.work.loaded.run_dir, one.work.loaded.run_dir)
    assert [row for row, _ in one.work.wanted_by] == ["1", "2", "3"]
    assert [each.work.loaded.recipe.launch.leave_checkpoint for each in runs] == [True, True, False]
    # alone, three epochs take what the three runs take together; the reference is passed once
    trained = [each.takes.hours - each.takes.reference_hours for each in runs]
    assert trained == pytest.approx([trained[0]] * 3)
    assert plan.once.hours == pytest.approx(sft.takes.hours + sum(trained) + one.takes.reference_hours)
    by_row = {row.name: plan.alone_of(row).hours for row in plan.study.rows}
    assert by_row["3"] == pytest.approx(plan.once.hours)
    assert [each.takes.steps for each in runs] == [one.takes.steps] * 3


def test_runs_that_left_no_checkpoint_are_not_gone_on_from(tiny: Path) -> None:
    text = "stage: study\ntitle: Small\nrecipe: cpt.yaml\ngrid: {num_train_epochs: [1, 2]}\n"
    (tiny / "study.yaml").write_text(text)
    (tiny / "cpt.yaml").write_text((tiny / "cpt.yaml").read_text().replace("cosine", "constant"))
    before, after = expand(load(tiny / "study.yaml")).works
    assert after.continues == before.loaded.run_dir
    before.loaded.run_dir.mkdir(parents=True)
    (before.loaded.run_dir / "recipe.yaml").write_text(resolved_yaml(before.loaded))
    (before.loaded.run_dir / "result.json").write_text("{}")
    assert [each.continues for each in expand(load(tiny / "study.yaml")).works] == [None, None]
    (before.loaded.run_dir / "checkpoints" / "checkpoint-8").mkdir(parents=True)
    assert expand(load(tiny / "study.yaml")).works[1].continues == before.loaded.run_dir


def test_of_the_epochs_study_it_says_what_is_kept_and_why_there_are_three_references(tmp_path: Path) -> None:
    plan = make_study_plan(study_of(MINI / "epochs.yaml", tmp_path))
    said = "\n".join(plan.apart)
    assert "mini/sft for 1, 2 and 3 epochs" in said and "mini/dpo for 1, 2 and 3 epochs" in said
    assert "3 reference passes, since the reference is the model that a run starts from" in said
    assert "`mini/binarize` and what it is made from are kept" in said
    pool = [each for each in plan.runs if each.work.loaded.file.parent.name == "pool"]
    assert len(pool) == 4  # early, raw, careful and its dialogues: the rows' dSFT epochs do not reach them


def test_rows_that_differ_in_speed_alone_are_named(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, f"recipe: {PAPER}/dpo.yaml\ngrid: {{micro_batch_size: [1, 2]}}\n")
    (sentence,) = plan.same
    assert sentence.startswith("`micro_batch_size 1` and `micro_batch_size 2` are the same runs")
    assert plan.once.runs == 2 and plan.alone.runs == 4


def test_a_model_that_is_there_is_a_row_of_its_evaluation_alone(tmp_path: Path) -> None:
    rows = f"rows: {{theirs: {{model: HuggingFaceH4/zephyr-7b-beta}}, ours: {{recipe: {PAPER}/dpo.yaml}}}}\n"
    plan = plan_of(tmp_path, f"{rows}evaluate: {PAPER}/evaluate-chat.yaml\n")
    assert [len(plan.of(row)) for row in plan.study.rows] == [1, 3]
    assert "HuggingFaceH4/zephyr-7b-beta, as it is" in page(plan, 80) and "The rows share no run." in page(plan, 80)


# ------------------------------------------------------------------ what is there


def test_finished_runs_are_not_to_do_and_their_time_is_taken_for_their_like(tiny: Path) -> None:
    text = "recipe: dpo.yaml\ngrid: {beta: [0.1, 0.5]}\nseeds: [1, 2]\n"
    before = plan_of(tiny, text)
    assert before.alone.hours is None and not before.begun
    assert before.alone.runs == 12 and before.once.runs == 8
    counts = {"sequences": 32, "tokens": 900}
    for each in before.runs:
        if each.work.loaded.recipe.seed == 1 and each.work.loaded.recipe.stage != "dpo":  # type: ignore[union-attr]
            finish(each.work.loaded, wall_s=36, data={"train": counts})
    plan = plan_of(tiny, text)
    assert plan.finished.runs == 2 and plan.to_do.runs == 6 and plan.begun
    assert plan.finished.hours == pytest.approx(0.02)
    assert plan.to_do.hours == pytest.approx(0.02) and plan.to_do.without_hours == 4  # the dDPO runs have no like
    assert plan.alone.hours == pytest.approx(0.08)  # cpt and dSFT of two seeds, for two rows each
    assert {each.takes.hours_from for each in plan.runs} == {"measured", "like", None}
    said = page(plan, 80)
    assert "1 finished, 1 to do" in said and "Sharing saves 2.4 of 4.8 minutes, 50%" in said


def test_minutes_of_like_runs_go_with_their_steps(tiny: Path) -> None:
    text = "recipe: sft.yaml\ngrid: {num_train_epochs: [1, 2, 300], max_length: [64, 32]}\n"
    for each in plan_of(tiny, text).runs:
        recipe = each.work.loaded.recipe
        if recipe.stage == "sft" and recipe.train.num_train_epochs < 3 and recipe.data.max_length == 64:
            counts = {"sequences": 32, "tokens": 900}
            finish(each.work.loaded, wall_s=36 * recipe.train.num_train_epochs, data={"train": counts})
    _, *runs = plan_of(tiny, text).runs
    found = {(each.work.loaded.recipe.train.num_train_epochs, each.work.loaded.recipe.data.max_length):
             (each.takes.steps, each.takes.hours) for each in runs}  # fmt: skip
    assert found[1, 64] == (8, pytest.approx(0.01)) and found[2, 64] == (16, pytest.approx(0.02))
    assert found[300, 64] == (2400, pytest.approx(3.0))
    assert found[300, 32] == (None, None)  # other rows: how many sequences they come to is not known


def test_a_run_that_goes_on_takes_what_is_left_and_only_where_it_went_on(tiny: Path) -> None:
    (tiny / "cpt.yaml").write_text((tiny / "cpt.yaml").read_text().replace("cosine", "constant"))
    text = "recipe: cpt.yaml\ngrid: {num_train_epochs: [1, 3, 9]}\n"
    one, three, _ = (each.work for each in plan_of(tiny, text).runs)
    assert three.continues == one.loaded.run_dir
    for each, wall_s in ((one, 36), (three, 72)):
        finish(each.loaded, wall_s=wall_s, data={"train": {"sequences": 32, "tokens": 900}})
        (each.loaded.run_dir / "checkpoints" / "checkpoint-8").mkdir(parents=True)
    assert [each.takes.steps for each in plan_of(tiny, text).runs] == [8, 24, 48]  # trained by itself
    (three.loaded.run_dir / "continues.json").write_text(json.dumps({"run": str(one.loaded.run_dir)}))
    takes = [each.takes for each in plan_of(tiny, text).runs]
    assert [each.steps for each in takes] == [8, 16, 48]
    assert [each.hours for each in takes] == pytest.approx([0.01, 0.02, 0.06])
    shutil.rmtree(one.loaded.run_dir / "checkpoints")  # of no use any more
    assert plan_of(tiny, text).runs[1].work.continues == one.loaded.run_dir
    shutil.rmtree(one.loaded.run_dir)  # a finished run needs none that it went on from
    assert [each.work.continues for each in plan_of(tiny, text).runs][:2] == [None, None]


def test_an_evaluation_is_reckoned_only_from_those_of_models_of_its_shape(tiny: Path) -> None:
    (tiny / "world").mkdir()
    (tiny / "evaluate.yaml").write_text(EVALUATE)
    text = "rows: {theirs: {model: HuggingFaceH4/zephyr-7b-beta}, unknown: {model: some/model}}\n"
    text += "recipe: dpo.yaml\ngrid: {beta: [0.1, 0.5]}\nevaluate: evaluate.yaml\n"
    measured = [each for each in plan_of(tiny, text).runs if each.work.loaded.recipe.stage == "evaluate"]
    finish(measured[2].work.loaded, wall_s=36)
    takes = {each.work.wanted_by[0][0]: each.takes for each in plan_of(tiny, text).runs
             if each.work.loaded.recipe.stage == "evaluate"}  # fmt: skip
    assert takes["beta 0.5"].hours == pytest.approx(0.01) and takes["beta 0.5"].hours_from == "like"
    assert takes["theirs"].hours is None and takes["unknown"].hours is None


def test_counts_of_a_finished_run_go_before_what_its_recipe_expects(tiny: Path) -> None:
    text = "rows: {dSFT: {recipe: sft.yaml, set: {expect.sequences: 9000}}}\n"
    assert plan_of(tiny, text).runs[-1].takes.steps == 4500
    finish(plan_of(tiny, text).runs[-1].work.loaded, wall_s=5, data={"train": {"sequences": 30, "tokens": 900}})
    assert plan_of(tiny, text).runs[-1].takes.steps == 16


def test_finished_runs_whose_data_were_changed_are_outdated_and_to_do(tiny: Path) -> None:
    text = "recipe: dpo.yaml\ngrid: {beta: [0.1, 0.5]}\n"
    for each in plan_of(tiny, text).runs:
        finish(each.work.loaded, wall_s=36)
        (each.work.loaded.run_dir / "provenance.json").write_text(json.dumps(made_of(each.work.loaded)))
    assert plan_of(tiny, text).finished.runs == 4
    with (tiny / "chat.jsonl").open("a") as file:
        file.write((tiny / "chat_eval.jsonl").read_text())
    plan = plan_of(tiny, text)
    assert plan.finished.runs == 1 and plan.to_do.runs == 3  # dSFT, and both dDPO runs from it
    assert [bool(each["outdated"]) for each in as_json(plan)["runs"]] == [False, True, True, True]
    said = page(plan, 100)
    assert "chat.jsonl, changed since" in said and "Make anew:  rm -r" in said
    assert "outdated" in said.partition("Runs, each once")[2].partition("In all")[0]


def test_local_data_that_are_not_there_are_told_once_with_their_place(tiny: Path) -> None:
    (tiny / "chat.jsonl").unlink()
    plan = plan_of(tiny, "recipe: dpo.yaml\ngrid: {beta: [0.1, 0.5]}\n")
    assert [each.rpartition("/")[2] for each in plan.lacks] == ["chat.jsonl"]
    assert "sft.yaml:" in plan.lacks[0] and "data.train[0].path: there is no such file" in plan.lacks[0]
    said = page(plan, 400)
    assert plan.lacks[0] in said and "Once that is mended: zephyr run" in said and "To run it" not in said


# ------------------------------------------------------------------ the page


def test_eight_seeds_are_summed_up_and_the_json_has_every_run(tmp_path: Path) -> None:
    plan = make_study_plan(study_of(MINI / "table-3-seeds.yaml", tmp_path))
    said = page(plan, 80)
    assert "5 rows, 8 seeds, 168 runs" in said and "Sharing saves 272 of 440 runs" in said
    assert len(said.splitlines()) < 50
    found = as_json(plan)
    assert len(found["runs"]) == 168 and found["totals"]["alone"]["runs"] == 440
    assert {each["seed"] for each in found["runs"][0]["wanted_by"]} == {11}
    assert json.dumps(found)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", ["table-3", "epochs", "beta-and-loss", "lora-rank", "prompt-truncation"])
def test_no_line_is_wider_than_the_terminal_and_no_figure_is_cut(tmp_path: Path, name: str, width: int) -> None:
    plan = make_study_plan(study_of(PAPER / f"studies/{name}.yaml", tmp_path))
    said = page(plan, width)
    command = ("To run it: ", "Once that is mended: ")
    assert all(len(line) <= width for line in said.splitlines() if not line.startswith(command))
    heading = next(line for line in said.splitlines() if "GPU-hours" in line)
    assert heading.split()[-6:] == ["runs", "steps", "hours", "GPU-hours", "calls", "cost"]
    assert all(row.name in " ".join(said.split()) for row in plan.study.rows)


def test_the_command_plans_a_study_and_refuses_what_is_for_one_recipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = str(MINI / "table-3.yaml")
    assert main(["plan", study, "--outputs", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["totals"]["to_do"]["runs"] == len(found["runs"]) == 21
    assert found["rows"][0]["name"] == "base"
    assert main(["plan", study, "seeds=[1, 2]", "--outputs", str(tmp_path)]) == 0
    assert "2 seeds, 42 runs" in capsys.readouterr().out
    assert main(["plan", study, "--count"]) == 1
    assert "--count is for a single recipe" in capsys.readouterr().err


def test_the_command_to_run_it_repeats_what_was_said(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tiny / "study.yaml").write_text("stage: study\ntitle: t\nrecipe: dpo.yaml\ngrid: {beta: [0.1, 0.2]}\n")
    said = [str(tiny / "study.yaml"), "seeds=[1, 2]", "--everywhere", "loss_type=ipo", "--outputs", str(tiny / "o")]
    assert main(["plan", *said]) == 0
    assert f"To run it: {shlex.join(['zephyr', 'run', *said])}\n" in capsys.readouterr().out


def test_runs_that_do_not_fit_are_named_with_what_would_make_them_fit(tmp_path: Path) -> None:
    one = ["launch.processes=1", "launch.machines=1"]
    file = PAPER / "studies/lora-rank.yaml"
    plan = make_study_plan(expand(load(file, outputs=tmp_path), everywhere=one, outputs=tmp_path))
    tight = [each for each in as_json(plan)["runs"] if each["fits"] is False]
    assert tight and all(each["memory_gib"] > each["device_gib"] == 79.6 and each["to_fit"] for each in tight)
    lines = memory_lines(plan)
    heads = [each for each in lines if "does not fit" in each]
    needs = "for all weights: does not fit; it needs 123.3 GiB, and one h100-80gb has 79.6"
    assert any(needs in each for each in heads)
    assert not any("/dpo" in each and "rank" in each.partition(":")[0].partition("for")[2] for each in heads)
    way = next(each for each in lines if each.startswith("  --everywhere")).splitlines()[0].split()[1::2]
    eased = make_study_plan(expand(load(file, outputs=tmp_path), everywhere=[*one, *way], outputs=tmp_path))
    assert len(memory_lines(eased)) < len(lines)
    assert "Once that is mended: zephyr run" in page(plan, 80) and "To run it" not in page(plan, 80)


def test_check_reads_what_a_study_s_rows_mean(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tiny / "study.yaml").write_text("stage: study\ntitle: t\nrecipe: dpo.yaml\ngrid: {bta: [0.1, 0.2]}\n")
    assert main(["check", str(tiny / "study.yaml")]) == 1
    assert "did you mean `train.beta`" in capsys.readouterr().out


# ------------------------------------------------------------------ reading chains once


def test_reading_each_recipe_once_gives_the_same_runs_as_reading_every_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smaller = "grid={sft.train.num_train_epochs: [1, 2], train.num_train_epochs: [0, 1]}"
    loaded = load(MINI / "epochs.yaml", [smaller], outputs=tmp_path)  # changes above, below and in kept recipes
    once = expand(loaded, outputs=tmp_path)
    monkeypatch.setattr(Known, "find", lambda *_, **__: None)
    every = expand(loaded, outputs=tmp_path)
    assert [(each.loaded, each.needs, each.wanted_by) for each in once.works] == [
        (each.loaded, each.needs, each.wanted_by) for each in every.works
    ]


def test_disk_is_every_run_s_model_once_and_the_largest_run_s_checkpoints(tmp_path: Path) -> None:
    study = study_of(PAPER / "studies/table-3.yaml", tmp_path)
    said = page(make_study_plan(study), 120)
    # five models of 7.24 B weights in 16 bits are 67 GiB; ZeRO-3 saves the gathered weights beside its own
    assert "Disk: 67 GiB of models, 432 GiB of the runs' last checkpoints" in said
    assert "Disk:" not in page(make_study_plan(study_of(MINI / "table-3.yaml", tmp_path)), 120)
