"""The batch script of a run and the cluster's file; the real Slurm is in tests/slurm."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from zephyr.cli import main
from zephyr.errors import UserError
from zephyr.launch.cluster import Cluster, directives, read_cluster
from zephyr.launch.slurm import TASK
from zephyr.recipe import load
from zephyr.recipe.shipped import shipped_recipes

EXAMPLE = shipped_recipes() / "clusters" / "slurm.yaml"
TWO_NODES = ["launch.processes=4", "launch.machines=2", "launch.micro_batch_size=1", "launch.strategy=zero3"]


@pytest.fixture
def here(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny recipes' folder as the working directory, with a cluster's file, and no Slurm on the path."""
    monkeypatch.chdir(tiny)
    monkeypatch.setenv("PATH", "/usr/bin:/bin" if shutil.which("sbatch", path="/usr/bin:/bin") is None else str(tiny))
    for name in ("ZEPHYR_OUTPUTS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    (tiny / "cluster.yaml").write_text("time_limit: 2:00:00\npartition: gpu\n")
    return tiny


def printed(*words: str, capsys: pytest.CaptureFixture[str], cluster: str = "cluster.yaml") -> list[str]:
    assert main(["run", *words, "--slurm", cluster, "--print"]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_script_follows_from_the_recipe(here: Path, capsys):
    lines = printed("cpt.yaml", *TWO_NODES, capsys=capsys)
    run_dir = here / "outputs" / here.name / "cpt"
    assert [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")] == [
        f"--job-name={here.name}/cpt", "--nodes=2", "--ntasks-per-node=2", "--partition=gpu", "--time=2:00:00",
        "--gres=gpu:2", f"--chdir={here}", f"--output={run_dir}/slurm-%j.out", "--open-mode=append", "--requeue",
        "--signal=USR1@300",
    ]  # fmt: skip
    step = " ".join(line.strip(" \\") for line in lines[lines.index("status=0") + 1 :]).split(" || ")[0]
    assert step.startswith("srun --kill-on-bad-exit=1 ")
    assert " -m zephyr.launch.rank " in step
    assert "zero3.yaml --num_processes 4 --num_machines 2 " in step
    assert step.endswith(f" -m zephyr run cpt.yaml {' '.join(TWO_NODES)}")
    assert not (here / "outputs").exists()


SHELL = "\n".join([*TASK, ""])


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("exit 0", 0),
        ("exit 75", 75),
        ("kill -TERM $$", 75),
        ("kill -USR1 $$", 75),
        ("exit 1", 129),
        ("kill -KILL $$", 137),
    ],
)
def test_of_all_processes_one_that_failed_has_the_highest_status(ending: str, status: int):
    words = ["bash", "-c", f'{SHELL}bash -c "$task" task bash -c {shlex.quote(ending)}']
    assert subprocess.run(words).returncode == status


def test_a_signal_to_all_leaves_the_process_its_time():
    slow = "trap 'sleep 0.3; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    words = ["bash", "-c", f'{SHELL}exec bash -c "$task" task bash -c {shlex.quote(slow)}']
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(timeout=20) == 0


def test_the_script_is_bash(here: Path, capsys):
    odd = here / "a folder, 100%"
    (here / "cluster.yaml").write_text(
        "time_limit: 1-12\ngpus: none\nmodules: [cuda/12.8]\nsetup: ['source a b.sh']\n"
        'environment: {HF_HOME: "/my models/$USER"}\nsbatch: ["--comment=two words"]\n'
    )
    lines = printed("cpt.yaml", f"--outputs={odd}", capsys=capsys)
    script = here / "job.sh"
    script.write_text("\n".join(lines))
    assert subprocess.run(["/bin/bash", "-n", str(script)]).returncode == 0
    assert lines[0] == "#!/bin/bash -l"
    assert f'#SBATCH --output="{odd}/{here.name}/cpt/slurm-%j.out"'.replace("100%", "100%%") in lines
    assert '#SBATCH --comment="two words"' in lines
    assert "export HF_HOME='/my models/$USER'" in lines
    assert lines.index("module load cuda/12.8") < lines.index("source a b.sh")
    assert not any("gpu:" in line for line in lines)


def test_one_process_needs_no_launcher_and_other_stages_no_gpu(here: Path, capsys):
    assert not any("accelerate" in line for line in printed("cpt.yaml", capsys=capsys))
    assert "#SBATCH --gres=gpu:1" in printed("cpt.yaml", capsys=capsys)
    assert not any("gres" in line for line in printed("cpt.yaml", "launch.device=cpu", capsys=capsys))
    assert not any("gres" in line for line in printed("mini/world", capsys=capsys))


def test_inputs_are_printed_first_when_asked_for(here: Path, capsys):
    assert main(["run", "dpo.yaml", "--slurm", "cluster.yaml", "--print"]) == 1
    assert "zephyr run dpo.yaml --with-inputs --slurm cluster.yaml" in capsys.readouterr().err
    lines = printed("dpo.yaml", "train.beta=0.5", "--with-inputs", "--everywhere", "seed=2", capsys=capsys)
    runs = [line.split(" run ")[1].removesuffix(" || status=$?") for line in lines if "zephyr run " in line]
    shared = "--everywhere seed=2"
    assert runs == [
        f"{here}/cpt.yaml {shared}", f"{here}/sft.yaml {shared}", f"dpo.yaml train.beta=0.5 {shared}",
    ]  # fmt: skip


def test_a_finished_run_submits_nothing(here: Path, capsys):
    loaded = load("cpt.yaml")
    from zephyr.recipe import resolved_yaml

    loaded.run_dir.mkdir(parents=True)
    (loaded.run_dir / "recipe.yaml").write_text(resolved_yaml(loaded))
    (loaded.run_dir / "result.json").write_text("{}")
    assert printed("cpt.yaml", capsys=capsys) == [
        f"{here.name}/cpt  finished before, nothing to submit: outputs/{here.name}/cpt"
    ]


def test_without_sbatch_it_says_what_to_do(here: Path, capsys):
    assert main(["run", "cpt.yaml", "--slurm=cluster.yaml"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "sbatch was not found, so this machine can't submit jobs.",
        "  On a login node of the cluster the same command does.",
        "  To see the script here: zephyr run cpt.yaml ... --slurm cluster.yaml --print",
    ]
    assert not (here / "outputs").exists()


def test_bfloat16_on_nodes_without_gpus_is_refused(here: Path, capsys):
    assert main(["run", "cpt.yaml", "bf16=true", "launch.device=cpu", "--slurm", "cluster.yaml", "--print"]) == 1
    assert "`train.bf16: true` needs GPUs" in capsys.readouterr().err


# ------------------------------------------------------------------ the cluster's file


def mistakes(folder: Path, text: str) -> str:
    (folder / "c.yaml").write_text(text)
    with pytest.raises(UserError) as refused:
        read_cluster(folder / "c.yaml")
    return str(refused.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("partition: gpu\n", "c.yaml: `time_limit` is missing: how long a job may take, such as"),
        ("time_limit: 90\n", "c.yaml:1: time_limit: found `90`; hours and minutes are expected, such as 24:00:00"),
        ("time_limit: 1-0\npartion: gpu\n", "c.yaml:2: partion: no key of a cluster's file; did you mean `partition`"),
        ("time: 1-0\ntime_limit: 1-0\n", "c.yaml:1: time: no key of a cluster's file; did you mean `time_limit`?"),
        ("time_limit: 9:00\n", "c.yaml:1: time_limit: found `9:00`; at least twice `warning_s` (300 s) is expected"),
        ("time_limit: 1-0\nnodes: 2\n", "c.yaml:2: nodes: follows from the recipe (`launch.machines`"),
        ("time_limit: 1-0\nseed: 2\n", "c.yaml:2: seed: belongs into the recipe"),
        ("time_limit: 1-0\nzzz: 2\n", "c.yaml:2: zzz: no key of a cluster's file; there are `time_limit`, "),
        ("time_limit: 1-0\ntime_limit: 2:00\n", "c.yaml:2: time_limit: given twice, first on line 1"),
        ("time_limit: 1-0\ngpus: 8\n", "c.yaml:2: gpus: found `8`; `gres`, `gpus-per-node` or `none` is expected"),
        ("time_limit: 1-0\npartition: a b\n", "c.yaml:2: partition: found `a b`; one word is expected"),
        ("time_limit: 1-0\ncpus_per_task: '8'\n", "c.yaml:2: cpus_per_task: found `'8'`; a whole number is expected"),
        ("time_limit: 1-0\ngpus: none\ngpu_type: a100\n", "c.yaml:3: gpu_type: says a type of GPU, and `gpus: none`"),
        ("time_limit: 1-0\nsetup: module load x\n", "c.yaml:2: setup: found `module load x`; a list is expected"),
        ("time_limit: 1-0\nsbatch: [-p gpu]\n", "c.yaml:2: sbatch[0]: write `partition` instead of `--partition`"),
        ("time_limit: 1-0\nsbatch:\n  - --nodes=2\n", "c.yaml:3: sbatch[0]: `--nodes` follows from the recipe"),
        ("time_limit: 1-0\nsbatch: [mail]\n", "c.yaml:2: sbatch[0]: found `mail`; an option of sbatch is expected"),
        ("time_limit: 1-0\nenvironment: {A: 1}\n", 'c.yaml:2: environment.A: found `1`; text is expected: write "1"'),
        ("time_limit: 1-0\nenvironment: {a-b: x}\n", "c.yaml:2: environment.a-b: no name of a variable"),
        ("stage: sft\nseed: 1\n", "c.yaml:1: this is a recipe; --slurm takes a cluster's file"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_file_and_line(tmp_path: Path, text: str, said: str):
    assert mistakes(tmp_path, text).startswith(said)


def test_all_mistakes_are_shown_together(tmp_path: Path):
    said = mistakes(tmp_path, "time_limit: soon\nwarning_s: 0\nsbatch: [--time=1]\n").splitlines()
    assert [line.split(": ")[0] for line in said] == ["c.yaml:1", "c.yaml:2", "c.yaml:3"]


def test_a_file_that_is_not_there_names_those_that_are(tmp_path: Path):
    with pytest.raises(UserError, match=r"nope.yaml: there is no such file; there are .*slurm.yaml`"):
        read_cluster(tmp_path / "nope.yaml")


def test_the_example_is_right_and_so_is_what_it_comments_out(tmp_path: Path):
    read_cluster(EXAMPLE)
    keys = "|".join(Cluster.__dataclass_fields__)
    # `# account: my-project` is an example, and the lines under `# setup:` are
    text = EXAMPLE.read_text().partition("\ntime_limit")
    whole = re.sub(rf"^# (?=({keys}):|  )", "", text[2], flags=re.MULTILINE)
    (tmp_path / "whole.yaml").write_text("time_limit" + whole)
    found = read_cluster(tmp_path / "whole.yaml")
    assert not [name for name in Cluster.__dataclass_fields__ if not getattr(found, name)]


def test_gpus_are_asked_for_as_the_cluster_wants():
    def asked(**settings: str) -> list[str]:
        return [line for line in directives(Cluster(time_limit="1:00:00", **settings), 8) if "gpu" in line]

    assert asked() == ["--gres=gpu:8"]
    assert asked(gpu_type="a100") == ["--gres=gpu:a100:8"]
    assert asked(gpus="gpus-per-node", gpu_type="h100") == ["--gpus-per-node=h100:8"]
    assert asked(gpus="none") == []


# ------------------------------------------------------------------ submitting, with a stand-in for sbatch and squeue


@pytest.fixture
def slurm(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands in front: sbatch numbers jobs and notes what it was given, squeue knows the running ones."""
    bin = here / "bin"
    bin.mkdir()
    (bin / "sbatch").write_text(f'#!/bin/sh\necho "$@" >> {here}/given\nwc -l < {here}/given | tr -d " "\n')
    (bin / "squeue").write_text(
        f'#!/bin/sh\nif grep -qx -- "$2" {here}/running 2>/dev/null; then echo RUNNING; else\n'
        'echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1; fi\n'
    )
    for each in bin.iterdir():
        each.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin}:/usr/bin:/bin")
    return here


def test_a_run_and_its_inputs_are_submitted_in_order(slurm: Path, capsys):
    assert main(["run", "dpo.yaml", "beta=0.5", "--with-inputs", "--slurm", "cluster.yaml"]) == 0
    given = [line.split() for line in (slurm / "given").read_text().splitlines()]
    outputs = slurm / "outputs" / slurm.name
    assert given == [
        ["--parsable", f"{outputs}/cpt/submit.slurm"],
        ["--parsable", "--dependency=afterok:1", "--kill-on-invalid-dep=yes", f"{outputs}/sft/submit.slurm"],
        ["--parsable", "--dependency=afterok:2", "--kill-on-invalid-dep=yes", f"{outputs}/dpo/submit.slurm"],
    ]
    said = capsys.readouterr().out
    assert f"{slurm.name}/dpo  job 3: 1 node x 1 process, 1 GPU, after job 2" in said
    assert f"tail -f outputs/{slurm.name}/dpo/slurm-3.out" in said
    assert json.loads((outputs / "dpo/slurm.json").read_text())["job"] == "3"


def test_what_is_submitted_is_the_recipe_of_that_moment(slurm: Path):
    main(["run", "cpt.yaml", "--slurm", "cluster.yaml"])
    run_dir = slurm / "outputs" / slurm.name / "cpt"
    before = load(slurm / "cpt.yaml")
    (slurm / "cpt.yaml").write_text((slurm / "cpt.yaml").read_text().replace("seed: 1", "seed: 2"))
    assert f" run {run_dir} ||" in (run_dir / "submit.slurm").read_text()
    assert load(run_dir).run_id == before.run_id != load(slurm / "cpt.yaml").run_id


def test_a_run_that_is_queued_is_not_submitted_again(slurm: Path, capsys):
    main(["run", "cpt.yaml", "--slurm", "cluster.yaml"])
    (slurm / "running").write_text("--jobs=1\n")
    assert main(["run", "cpt.yaml", "--slurm", "cluster.yaml"]) == 1
    assert f"{slurm.name}/cpt is job 1 already (running)" in capsys.readouterr().err
    assert main(["run", "sft.yaml", "--with-inputs", "--slurm", "cluster.yaml"]) == 0
    assert "--dependency=afterok:1 " in (slurm / "given").read_text().splitlines()[-1]
    (slurm / "running").unlink()
    assert main(["run", "cpt.yaml", "--slurm", "cluster.yaml"]) == 0


def test_what_sbatch_refuses_is_shown_with_where_it_comes_from(slurm: Path, capsys):
    (slurm / "bin/sbatch").write_text(
        "#!/bin/sh\necho 'sbatch: error: invalid partition specified: gpu' >&2\necho 'sbatch: error: Batch job "
        "submission failed: Invalid partition name specified' >&2\nexit 1\n"
    )
    assert main(["run", "cpt.yaml", "--slurm", "cluster.yaml"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"sbatch refused outputs/{slurm.name}/cpt/submit.slurm:",
        "    error: invalid partition specified: gpu",
        "    error: Batch job submission failed: Invalid partition name specified",
        "  What is asked for comes from cluster.yaml and `launch` in cpt.yaml",
    ]
    (slurm / "cluster.yaml").write_text("time_limit: 2:00:00\n")  # mended, it is taken
    (slurm / "bin/sbatch").write_text("#!/bin/sh\necho 7\n")
    assert main(["run", "cpt.yaml", "--slurm", "cluster.yaml"]) == 0
