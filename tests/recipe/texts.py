"""The recipes that these tests start from."""

SFT = """\
stage: sft
seed: 1
model: {model_name_or_path: org/base}
data:
  train:
    - path: world.yaml
      name: instructions
  max_length: 256
train:
  learning_rate: 2e-5
  global_batch_size: 32
  num_train_epochs: 1
  lr_scheduler_type: cosine
launch: {micro_batch_size: 8}
"""
DPO = """\
stage: dpo
seed: 1
model: {model_name_or_path: sft.yaml}
data:
  train:
    - path: world.yaml
      name: prompts
  max_length: 256
  max_prompt_length: 128
train:
  learning_rate: 5e-7
  global_batch_size: 32
  num_train_epochs: 1
  lr_scheduler_type: linear
  beta: 0.1
launch: {micro_batch_size: 8}
"""
REPORT = """\
stage: report
title: All of it
runs: [sft.yaml, dpo.yaml]
"""


def changed(text: str, *changes: tuple[str, str]) -> str:
    """A recipe's text with parts replaced; each must be there."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text
