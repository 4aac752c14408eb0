"""What must hold between keys, and can be known before anything loads."""

from collections.abc import Iterator
from typing import Any

from zephyr.recipe.evaluate_checks import evaluate_checks
from zephyr.recipe.problems import Parts
from zephyr.recipe.teacher_checks import teacher_checks

Found = tuple[Parts, str]


def cross_checks(stage: str, data: dict[str, Any]) -> Iterator[Found]:
    """Mistakes between keys: where, and the sentence. Values of a wrong type are passed over; they have their own."""
    yield from teacher_checks(stage, data)
    if "model" in data:
        yield from _model(_mapping(data, "model"), _mapping(data, "train"))
    if stage in ("cpt", "sft", "dpo", "filter", "binarize"):
        yield from _sources(_mapping(data, "data"))
    if stage == "evaluate":
        yield from evaluate_checks(data)
    if stage == "binarize":
        yield from _binarize(_mapping(data, "binarize"))
    if stage in ("cpt", "sft", "dpo"):
        yield from _lengths(_mapping(data, "data"))
        yield from _train(_mapping(data, "train"), _mapping(data, "data"))
        yield from _batch(_mapping(data, "train"), _mapping(data, "launch"))
        yield from _launch(_mapping(data, "launch"))
        yield from _adapter(_mapping(data, "model"), data.get("adapter"))


def _mapping(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _number(section: dict[str, Any], key: str) -> float | None:
    value = section.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _count(section: dict[str, Any], key: str) -> int | None:
    value = section.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _model(model: dict[str, Any], train: dict[str, Any]) -> Iterator[Found]:
    name, config = model.get("model_name_or_path"), model.get("config")
    if name is None and config is None:
        yield (
            ("model",),
            (
                "no model to start from; write `model_name_or_path` (a Hub id, a directory or a recipe), "
                "or `config` for a randomly initialised one"
            ),
        )
    if name is not None and config is not None:
        yield (
            ("model", "config"),
            (
                "`model_name_or_path` is given too, and brings its own configuration; keep one of them "
                "(`null` takes away a key of the recipe that this one extends)"
            ),
        )
    if isinstance(config, dict) and name is None:
        if "model_type" not in config:
            yield ("model", "config"), "`model_type` is missing, such as `model_type: mistral`"
        if model.get("tokenizer_name_or_path") is None:
            yield ("model",), "`tokenizer_name_or_path` is missing: a model made from `config` brings no tokenizer"
        if model.get("revision") is not None:
            yield ("model", "revision"), "belongs to a Hub model; with `config` there is none"
    flash = model.get("attn_implementation") == "flash_attention_2"
    if flash and model.get("dtype") == "float32" and train.get("bf16") is not True:
        yield (
            ("model", "attn_implementation"),
            ("flash_attention_2 can't compute in float32; write `sdpa`, or `bf16: true` under `train`"),
        )


def _sources(data: dict[str, Any]) -> Iterator[Found]:
    for split in ("train", "eval"):
        entries = data.get(split)
        for n, entry in enumerate(entries if isinstance(entries, list) else []):
            if isinstance(entry, dict) and entry.get("fraction") is not None and entry.get("rows") is not None:
                yield ("data", split, n, "rows"), "`fraction` is given too; keep one of them"


def _binarize(rules: dict[str, Any]) -> Iterator[Found]:
    if rules.get("strategy") == "all_pairs" and rules.get("ties") is not None:
        yield (
            ("binarize", "ties"),
            "`all_pairs` chooses no best answer, so none can share its place; take it away",
        )
    if rules.get("ten_for_one", "keep") != "keep" and _uses_mean(rules):
        yield (
            ("binarize", "ten_for_one"),
            "is about overall scores, and the mean of the ratings is what counts here; take it away, "
            "or write `score: overall`",
        )


def _uses_mean(rules: dict[str, Any]) -> bool:
    score = rules.get("score")
    return score == "mean" or (score is None and not str(rules.get("strategy")).startswith("h4"))


def _lengths(data: dict[str, Any]) -> Iterator[Found]:
    whole, prompt = _count(data, "max_length"), _count(data, "max_prompt_length")
    if whole and prompt and prompt >= whole:
        yield (
            ("data", "max_prompt_length"),
            (f"found {prompt}; a number below `max_length` ({whole}) is expected, or no token is left for the answer"),
        )


def _train(train: dict[str, Any], data: dict[str, Any]) -> Iterator[Found]:
    if train.get("loss_type") == "exo_pair" and not _number(train, "label_smoothing"):
        yield ("train", "loss_type"), "`exo_pair` needs `label_smoothing` above 0, such as 1e-3"
    if train.get("eval_steps") is not None and not data.get("eval"):
        yield (
            ("train", "eval_steps"),
            "there is nothing to evaluate; name held-out data under `data.eval`, or take it away",
        )
    for key in ("warmup_steps", "eval_steps", "save_steps"):
        steps = _number(train, key)
        if steps is not None and steps > 1 and steps != int(steps):
            yield (
                ("train", key),
                f"found {steps:g}; from 1 on it is a number of steps, so a whole one; below 1, a share of all",
            )


def _batch(train: dict[str, Any], launch: dict[str, Any]) -> Iterator[Found]:
    whole, micro = _count(train, "global_batch_size"), _count(launch, "micro_batch_size")
    processes = _count(launch, "processes") if "processes" in launch else 1
    if whole and micro and processes:
        problem = check_batch(whole, micro, processes)
        if problem:
            yield ("train", "global_batch_size"), problem


def _launch(launch: dict[str, Any]) -> Iterator[Found]:
    processes = _count(launch, "processes") if "processes" in launch else 1
    machines = _count(launch, "machines") if "machines" in launch else 1
    if processes and machines and processes % machines:
        fewer = max(n for n in range(1, machines) if processes % n == 0)
        yield (
            ("launch", "machines"),
            f"{processes} process{'es' if processes > 1 else ''} can't be spread evenly over {machines} machines; "
            f"`processes` counts them all; what works: `launch.machines={fewer}`",
        )
    strategy = launch.get("strategy", "auto")
    if strategy == "single" and processes and processes > 1:
        yield ("launch", "strategy"), f"`single` is one process, and `processes` says {processes}; write `auto`"
    if launch.get("shard_within_machine") is True and strategy not in ("auto", "zero3", "fsdp2"):
        yield ("launch", "shard_within_machine"), f"only `zero3` and `fsdp2` shard weights, not `{strategy}`"


def _adapter(model: dict[str, Any], adapter: Any) -> Iterator[Found]:
    if model.get("quantization") is not None and adapter is None:
        yield ("model", "quantization"), "quantised weights can't be trained; add an `adapter`, which can"
    if isinstance(adapter, dict) and model.get("config") is not None:
        yield ("adapter",), "an adapter on random weights learns nothing; start from a `model_name_or_path`"


def check_batch(global_batch_size: int, micro_batch_size: int, processes: int) -> str | None:
    """None if the global batch divides into micro-batches on all processes; else what is wrong and what would work."""
    at_once = micro_batch_size * processes
    if global_batch_size % at_once == 0:
        return None
    found = (
        f"{global_batch_size} sequences per step can't be cut into micro-batches of {micro_batch_size}"
        f" on {processes} process{'es' if processes > 1 else ''} ({micro_batch_size} x {processes} = {at_once} at once)"
    )
    below = global_batch_size // at_once * at_once
    ways = [f"`train.global_batch_size` {_either([n for n in (below, below + at_once) if n])}"]
    for name, wanted, other in (
        ("micro_batch_size", micro_batch_size, processes),
        ("processes", processes, micro_batch_size),
    ):
        nearest = _nearest_divisors(global_batch_size, wanted, other)
        if nearest:
            ways.append(f"`launch.{name}` {_either(nearest)}")
    return f"{found}; what works: {', or '.join(ways)}"


def _nearest_divisors(whole: int, wanted: int, other: int) -> list[int]:
    """The numbers next to `wanted`, below and above, that divide what `whole` leaves for each `other`."""
    if whole % other:
        return []
    share = whole // other
    divisors = [n for n in range(1, share + 1) if share % n == 0]
    below, above = [n for n in divisors if n < wanted], [n for n in divisors if n > wanted]
    return below[-1:] + above[:1]


def _either(numbers: list[int]) -> str:
    return " or ".join(map(str, numbers))
