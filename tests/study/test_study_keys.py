"""Keys of a study that mean nothing: what is said of each, with the nearest that does."""

from pathlib import Path

import pytest

from zephyr.recipe import Origin, RecipeError, load
from zephyr.recipe.shipped import shipped_recipes
from zephyr.study.expand import expand
from zephyr.study.keys import find

DPO = shipped_recipes() / "mini/dpo.yaml"

WRONG = [
    ("bata", "did you mean `train.beta`?"),
    ("train.bta", "did you mean `train.beta`?"),
    ("learning_rte", "did you mean `train.learning_rate`?"),
    ("loss", "did you mean `train.loss_type`?"),
    ("global_batch", "did you mean `train.global_batch_size`?"),
    ("train.seed", "did you mean `seed`?"),
    ("data.train.rows", "did you mean `data.train[0].rows`"),
    ("adapter.rank", "did you mean `adapter.r`?"),
    ("temperature", "`feedback.sampling.temperature`?"),
    ("sft.num_train_epoch", "did you mean `sft.train.num_train_epochs`?"),
    ("stf.train.num_train_epochs", "did you mean `sft.train.num_train_epochs`?"),
    ("binarise.strategy", "did you mean `binarize.binarize.strategy`?"),
    # other toolkits' names
    ("lr", "write `train.learning_rate`"),
    ("train.lr", "write `train.learning_rate`"),
    ("sft.epochs", "write `sft.train.num_train_epochs`"),
    ("batch_size", "write `train.global_batch_size`, the sequences per optimizer step"),
    # nothing near
    ("sft", "`sft` is a recipe: a key of it is expected behind its name, as `sft.seed`"),
    ("rank", "or of what it is made from: `sft`, `binarize`"),
    ("sft.zzz", "is no key of"),
    ("stage", "`stage` can't be overridden"),
]


@pytest.mark.parametrize(("key", "said"), WRONG)
def test_a_wrong_key_is_refused_with_the_nearest(key: str, said: str) -> None:
    with pytest.raises(RecipeError) as found:
        find(load(DPO), key, Origin())
    assert said in str(found.value)


@pytest.mark.parametrize(
    ("key", "file", "parts"),
    [
        ("beta", "dpo", ("train", "beta")),
        ("dpo.beta", "dpo", ("train", "beta")),
        ("sft.num_train_epochs", "sft", ("train", "num_train_epochs")),
        ("binarize.strategy", "binarize", ("binarize", "strategy")),
        ("feedback.pool.sft.model", "feedback", ("pool", "sft", "model")),
        ("data.train[0].rows", "dpo", ("data", "train", 0, "rows")),
    ],
)
def test_a_key_means_the_nearest_recipe_that_has_it(key: str, file: str, parts: tuple[str | int, ...]) -> None:
    found, place = find(load(DPO), key, Origin())
    assert (found.stem, place) == (file, parts)


def test_an_entry_that_a_list_has_not_is_refused(tiny: Path) -> None:
    file = tiny / "study.yaml"
    file.write_text('stage: study\ntitle: t\nrecipe: dpo.yaml\ngrid: {"data.train[5].rows": [1, 2]}\n')
    with pytest.raises(RecipeError, match=r"study.yaml:4: data.train\[5\].rows: `data.train` of .* has 1 of them"):
        expand(load(file))
