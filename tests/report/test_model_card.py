import json

import yaml

from zephyr.report.model_card import model_card
from zephyr.report.read import Run, read_run


def front_matter(card):
    _, front, _ = card.split("---\n", 2)
    return yaml.safe_load(front)


def test_card_has_use_recipe_data_numbers_and_versions(runs):
    card = model_card(read_run(runs["dpo"]))
    assert front_matter(card) == {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "license": "unknown",
        "tags": ["zephyr-recipes", "trl", "dpo"],
    }
    assert '{"role": "system"' in card
    assert "| loss | 0.693 | 0.570 |" in card
    assert "| preference accuracy | 0.500 | 0.800 |" in card
    assert "16 pairs per step; 110 steps" in card
    assert "torch 2.13.0" in card
    assert "beta: 0.1" in card
    assert "Collapse" in card


def test_published_model_and_data_are_linked_and_local_paths_are_not(runs):
    recipe = {
        "stage": "sft",
        "model": {"model_name_or_path": "mistralai/Mistral-7B-v0.1"},
        "data": {"train": [{"path": "HuggingFaceH4/ultrachat_200k"}, {"path": "/data/mine.jsonl"}]},
        "train": {},
    }
    run = Run(directory=runs["sft"], recipe=recipe, recipe_text="stage: sft\n")
    front = front_matter(model_card(run, licence="apache-2.0"))
    assert front["base_model"] == "mistralai/Mistral-7B-v0.1"
    assert front["datasets"] == ["HuggingFaceH4/ultrachat_200k"]
    assert front["license"] == "apache-2.0"


def test_card_of_a_run_whose_files_are_not_written_yet(runs):
    read = read_run(runs["sft"])
    result = json.loads((runs["sft"] / "result.json").read_text())
    run = Run(directory=read.directory, recipe=read.recipe, recipe_text=read.recipe_text, result=result)
    assert "| loss | 2.400 | 0.650 |" in model_card(run)
