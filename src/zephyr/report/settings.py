"""What a run was told to do, in words: its recipe, and the arithmetic of its batch."""

from collections.abc import Sequence
from typing import Any

from zephyr.report.read import Run, anchor, in_words
from zephyr.report.table import Cell, Table, facts
from zephyr.report.wording import count, duration, short, times

UNIT = {"dpo": "pair"}
"""What a batch consists of, where it isn't sequences."""


def what_ran(run: Run, others: Sequence[Run] = ()) -> Table:
    """The run's settings in words, with the arithmetic of its batch; paths in other runs by their names."""
    recipe = run.recipe
    train, data, model = (recipe.get(section) or {} for section in ("train", "data", "model"))
    pairs: list[tuple[str, Cell | str | None]] = [
        ("model", _start(model, others)),
        ("trained part", _adapter(recipe.get("adapter"), model)),
        ("data", _sources(data.get("train"), others)),
        ("held-out data", _sources(data.get("eval"), others)),
        ("format", _format(data)),
        ("learning rate", _schedule(train)),
        ("optimizer", train.get("optim")),
        ("beta, loss", f"{short(train['beta'])}, {train.get('loss_type', 'sigmoid')}" if "beta" in train else None),
        ("passes over the data", short(train["num_train_epochs"]) if "num_train_epochs" in train else None),
        ("batch", batch_arithmetic(run)),
        ("models", ", ".join(recipe["models"]) if run.stage == "evaluate" else None),
        ("answers", _generation(recipe.get("generation"))),
        ("seed", str(recipe["seed"]) if "seed" in recipe else None),
        *_world(recipe.get("world") or {}),
        ("time", _time(run)),
    ]
    return facts(f"{anchor(run)}-settings", "Settings", pairs)


def batch_arithmetic(run: Run) -> str | None:
    """Micro-batch x processes x accumulation = global batch, and the steps it makes."""
    batch = run.result.get("batch")
    if not batch:
        return None
    unit = UNIT.get(run.stage, "sequence")
    warmup = f", {count(batch['warmup_steps'])} of them warmup" if batch.get("warmup_steps") else ""
    return (
        f"{times(batch['micro_batch_size'], unit)} × {times(batch['processes'], 'process', 'processes')} × "
        f"{times(batch['gradient_accumulation_steps'], 'accumulation step')} = "
        f"{times(batch['global_batch_size'], unit)} per step; {times(batch['steps'], 'step')}{warmup}"
    )


def _start(model: dict[str, Any], others: Sequence[Run]) -> str | None:
    if model.get("model_name_or_path"):
        revision = f" at {model['revision']}" if model.get("revision") else ""
        return f"{in_words(model['model_name_or_path'], others)}{revision}"
    config = model.get("config")
    return f"a randomly initialised {config.get('model_type', 'model')}" if config else None


def _adapter(adapter: dict[str, Any] | None, model: dict[str, Any]) -> str | None:
    """None where all weights trained, which needs no line."""
    if not adapter:
        return None
    method = "a DoRA" if adapter.get("method") == "dora" else "a LoRA"
    layers = adapter.get("target_modules") or "all-linear"
    where = "all linear layers" if layers == "all-linear" else ", ".join(layers)
    bits = ", over weights in 4 bits (nf4)" if model.get("quantization") else ""
    return f"{method} adapter of rank {adapter['r']}, alpha {short(adapter['lora_alpha'])}, on {where}{bits}"


def _sources(sources: list[dict[str, Any]] | None, others: Sequence[Run]) -> str | None:
    shown = []
    for source in sources or []:
        part = ", ".join(
            str(text)
            for text in (
                source.get("name"),
                source.get("split"),
                f"{100 * source['fraction']:g} % of it" if source.get("fraction") else None,
                times(source["rows"], "row") if source.get("rows") else None,
            )
            if text
        )
        path = in_words(source["path"], others)
        shown.append(f"{path} ({part})" if part else path)
    return "; ".join(shown) or None


def _format(data: dict[str, Any]) -> str | None:
    cuts = [
        f"at most {times(data['max_length'], 'token')}" if "max_length" in data else None,
        f"of which the prompt {count(data['max_prompt_length'])} when it must be cut"
        if "max_prompt_length" in data
        else None,
        {"wrapped": "packed (wrapped)", "bfd_split": "packed (bfd_split)", "none": "not packed"}.get(
            data.get("packing", "")
        ),
        f"loss on {data['loss_on'].replace('all', 'all tokens')}" if "loss_on" in data else None,
        f"{data['chat_template']} template" if "chat_template" in data else None,
        "an empty system turn added" if data.get("empty_system_turn") else None,
    ]
    return ", ".join(part for part in cuts if part) or None


def _schedule(train: dict[str, Any]) -> str | None:
    if "learning_rate" not in train:
        return None
    warmup = train.get("warmup_steps") or 0
    share = f"{100 * warmup:g} % of the steps" if 0 < warmup < 1 else times(warmup, "step")
    peak = short(float(train["learning_rate"]))
    return f"{peak}, {train.get('lr_scheduler_type')}, warmup {share if warmup else 'none'}"


def _world(world: dict[str, Any]) -> list[tuple[str, Cell | str | None]]:
    """What the mini world's scripted teachers were made to do wrong."""
    found: list[tuple[str, Cell | str | None]] = [("people", str(world["people"]) if "people" in world else None)]
    for name, habits in world.get("teachers", {}).items():
        shares = ", ".join(f"{habit.replace('_', ' ')} {short(share)}" for habit, share in habits.items() if share)
        found.append((f"bad habits of `{name}`", f"{shares} (shares)" if shares else "none"))
    return found


def _generation(generation: dict[str, Any] | None) -> str | None:
    if not generation:
        return None
    template = f", {generation['chat_template']} template" if "chat_template" in generation else ""
    return f"at most {times(generation['max_new_tokens'], 'new token')}{template}"


def _time(run: Run) -> str | None:
    rates = [row["tokens_per_second"] for row in run.train_rows if row.get("tokens_per_second")]
    rate = f", {count(sorted(rates)[len(rates) // 2])} tokens per second (median)" if rates else ""
    return f"{duration(run.result['wall_s'])}{rate}" if "wall_s" in run.result else None
