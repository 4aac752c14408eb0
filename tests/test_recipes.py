"""Every shipped recipe: its header, the command in it, pinned data, published steps, and the table of them all."""

import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from zephyr.arguments import parser, split_overrides
from zephyr.catalogue import catalogue, header
from zephyr.data.tokens.template import Template
from zephyr.plan.plan import as_json, flat, make_plan
from zephyr.recipe import Loaded, load
from zephyr.recipe.extends import read_extended
from zephyr.recipe.reader import read
from zephyr.recipe.schema import TrainRecipe
from zephyr.recipe.shipped import recipe_files, shipped_recipes
from zephyr.study.expand import expand
from zephyr.study.plan.plan import StudyPlan, make_study_plan

ROOT = Path(__file__).parents[1]
RECIPES = {str(file.relative_to(shipped_recipes()).with_suffix("")): file for file in recipe_files(shipped_recipes())}
NAMES = sorted(RECIPES)


@cache
def loaded(name: str) -> Loaded:
    return load(RECIPES[name], outputs=Path("/nonexistent"))


@cache
def planned(name: str) -> StudyPlan:
    return make_study_plan(expand(loaded(name), outputs=Path("/nonexistent")))


STUDIES = [name for name in NAMES if loaded(name).recipe.stage == "study"]
TRAINED = [name for name in NAMES if isinstance(loaded(name).recipe, TrainRecipe)]
ON_GPUS = [name for name in TRAINED if loaded(name).recipe.launch.device]  # type: ignore[union-attr]

STEPS = {
    "zephyr-7b-beta/sft": 273,
    "zephyr-7b-beta/sft-2": 31,
    "zephyr-7b-beta/dpo": 5811,
    "zephyr-7b-beta/dpo-own-pairs": 5811,
    "zephyr-7b-beta/as-trained/sft": 273,  # published: 272, the last, smaller one dropped
    "zephyr-7b-beta/as-trained/dpo": 5811,
    "zephyr-7b-beta/handbook-2024/sft": 1090,
    "zephyr-7b-beta/handbook-2024/dpo": 478,
    "zephyr-7b-beta/qlora/sft": 2179,
    "zephyr-7b-beta/qlora/dpo": 3821,
    "zephyr-7b-alpha/dpo": 1937,
    "zephyr-7b-gemma/sft": 900,  # published: 897
    "zephyr-7b-gemma/dpo": 106,
    "notus-7b/dpo": 2889,
    "tinyllama-1b/sft": 9129,  # published: 9,128
    "tinyllama-1b/dpo": 3821,
}


@pytest.mark.parametrize("name", NAMES)
def test_the_header_says_what_is_needed_and_what_to_expect(name: str):
    says = header(RECIPES[name])
    wanted = {"Needs", "Command"}
    if name in TRAINED or loaded(name).recipe.stage in ("evaluate", "study"):
        wanted.add("Expect")
    if name in STUDIES:
        wanted.add("Repeats")
    if name in ON_GPUS:
        wanted.add("Takes")
    assert wanted <= set(says)
    assert loaded(name).recipe.description


@pytest.mark.parametrize("name", NAMES)
def test_the_command_is_a_real_one_for_this_recipe(name: str):
    words = shlex.split(header(RECIPES[name])["Command"][0])
    files = [word for word in words if word.endswith(".yaml")]
    assert files and all((ROOT / file).is_file() for file in files)
    assert ROOT / "recipes" / f"{name}.yaml" in [ROOT / file for file in files]
    assert words[:2] == ["zephyr", "run"]
    parser().parse_args(split_overrides(words[1:])[0])
    runs = [each.work.loaded for each in planned(name).runs] if name in STUDIES else [loaded(name)]
    machines = [each.recipe.launch.machines for each in runs if isinstance(each.recipe, TrainRecipe)]
    assert ("--with-inputs" in words) == bool(loaded(name).inputs)
    assert ("--slurm" in words) == (max(machines, default=1) > 1)


@pytest.mark.parametrize("name", TRAINED)
def test_everything_from_the_hub_is_pinned_or_named_as_a_gap(name: str):
    recipe = loaded(name).recipe
    assert isinstance(recipe, TrainRecipe)
    named = [(each.path, each.revision) for each in (*recipe.data.train, *recipe.data.eval)]
    named.append((recipe.model.model_name_or_path or "", recipe.model.revision))
    named.append((recipe.model.tokenizer_name_or_path or "", None))
    gaps = " ".join(header(RECIPES[name]).get("Gap", []))
    for path, revision in named:
        is_hub = path and not Path(path).is_absolute()
        assert not is_hub or re.fullmatch(r"[0-9a-f]{40}", revision or "") or path in gaps, path


@pytest.mark.parametrize("name", TRAINED)
def test_every_recipe_is_planned_from_published_counts(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    recipe = loaded(name).recipe
    assert isinstance(recipe, TrainRecipe) and recipe.expect.sequences and recipe.expect.source
    plan = as_json(make_plan(loaded(name)))
    assert plan["steps"] == STEPS.get(name, plan["steps"])
    assert name in STEPS or name.startswith("mini/")
    cut = plan["micro_batch_size"] * plan["processes"] * plan["gradient_accumulation_steps"]
    assert cut == plan["global_batch_size"] == recipe.train.global_batch_size


@pytest.mark.parametrize("name", ON_GPUS)
def test_a_recipe_fits_on_the_hardware_that_it_names(name: str):
    assert as_json(make_plan(loaded(name)))["fits"] is not False


SEVEN = ["beta-and-loss", "binarization", "epochs", "global-batch", "lora-rank", "prompt-truncation", "table-3"]


def test_every_study_is_shipped_for_the_laptop_and_for_the_paper():
    wanted = {f"{family}/studies/{each}" for family in ("mini", "zephyr-7b-beta") for each in SEVEN}
    assert set(STUDIES) == {*wanted, "mini/studies/table-3-seeds"}


@pytest.mark.parametrize("name", STUDIES)
def test_every_run_of_a_study_is_planned_and_fits(name: str):
    plan = planned(name)
    trained = [each for each in plan.runs if isinstance(each.work.loaded.recipe, TrainRecipe)]
    assert all(each.takes.steps for each in trained)
    assert all(each.takes.fits is not False for each in trained)
    on_gpus = name.startswith("zephyr")
    assert all((each.takes.hours is not None) == on_gpus for each in trained)
    assert plan.once.runs == len(plan.runs) < plan.alone.runs
    if on_gpus:
        assert plan.once.hours and plan.alone.hours and plan.once.hours < 0.6 * plan.alone.hours and plan.once.cost


@pytest.mark.parametrize("name", [name for name in STUDIES if name.startswith("zephyr")])
def test_everything_from_the_hub_is_pinned_in_every_row_of_a_study(name: str):
    for each in planned(name).runs:
        recipe = each.work.loaded.recipe
        if isinstance(recipe, TrainRecipe):
            named = [(source.path, source.revision) for source in (*recipe.data.train, *recipe.data.eval)]
            named.append((recipe.model.model_name_or_path or "", recipe.model.revision))
            for path, revision in named:
                assert Path(path).is_absolute() or re.fullmatch(r"[0-9a-f]{40}", revision or ""), path


VARIANTS = [name for name in NAMES if "extends" in read(RECIPES[name]).data]


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_say_only_what_differs(name: str):
    """A value that repeats the recipe it extends would hide what the variant is about; lists have to be repeated."""
    own = read(RECIPES[name]).data
    base = flat(read_extended((RECIPES[name].parent / own.pop("extends")).resolve()).data)
    again = [key for key, value in flat(own).items() if base.get(key, ...) == value and "[" not in key]
    assert [key for key in again if key != "model.model_name_or_path"] == []  # `sft.yaml` is another file there


def test_the_schedule_that_ended_early_is_the_published_curve():
    """272 of 406 planned steps: 4.9e-6 at the end, never 0 (alignment-handbook issue 27)."""
    torch = pytest.importorskip("torch")
    optimization = pytest.importorskip("transformers.optimization")
    recipe = loaded("zephyr-7b-beta/as-trained/sft").recipe
    assert isinstance(recipe, TrainRecipe)
    train = recipe.train
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=train.learning_rate)
    schedule = optimization.get_scheduler(
        train.lr_scheduler_type, optimizer, num_warmup_steps=train.warmup_steps, num_training_steps=273,
        scheduler_specific_kwargs=recipe.trl["lr_scheduler_kwargs"],
    )  # fmt: skip
    rates = []
    for _ in range(273):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    planned = torch.pi * torch.arange(273, dtype=torch.float64) / 406
    expected = 2e-5 * (1 + torch.cos(planned)) / 2
    assert torch.allclose(torch.tensor(rates, dtype=torch.float64), expected, rtol=1e-4)
    assert rates[272] == pytest.approx(4.9e-6, rel=0.01)


def test_gemmas_template_is_chatml_between_bos_and_eos():
    source = (shipped_recipes() / "zephyr-7b-gemma/chatml.jinja").read_text().rstrip("\n")
    template = Template(source, {"bos_token": "<bos>", "eos_token": "<eos>"})
    asked = [{"role": "system", "content": ""}, {"role": "user", "content": "Hi"}]
    prompt = "<bos><|im_start|>system\n<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert template.render(asked, add_generation_prompt=True) == prompt
    answered = template.render([*asked, {"role": "assistant", "content": "Hello."}])
    assert answered == prompt + "Hello.<|im_end|>\n<eos>"


FAMILIES = sorted({name.split("/")[0] for name in NAMES} - {"mini"})


@pytest.mark.parametrize("folder", FAMILIES)
def test_every_family_has_a_page_whose_commands_and_overrides_are_real(folder: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    page = (shipped_recipes() / folder / "README.md").read_text()
    assert all(f"`{name.split('/', 1)[1]}`" in page for name in NAMES if name.split("/")[0] == folder)
    for command in re.findall(r"`(zephyr [^`]+)`", page):
        arguments = parser().parse_args(split_overrides(shlex.split(command)[1:])[0])
        assert arguments.recipe in NAMES and arguments.diff in NAMES
    for overrides in re.findall(r"`(\w[\w.]*=\S[^`]*)`", page):
        load(RECIPES[f"{folder}/dpo"], overrides.split())


def test_the_table_of_recipes_is_up_to_date():
    assert (shipped_recipes() / "README.md").read_text() == catalogue(), "run `make recipes`"
