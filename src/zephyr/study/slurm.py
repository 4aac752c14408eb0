"""`zephyr run STUDY --slurm CLUSTER`: each missing run a job, after the jobs of what it needs; the table last."""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from zephyr.errors import UserError
from zephyr.launch.cluster import Cluster, directives, read_cluster
from zephyr.launch.slurm import require_sbatch, run_script_of, submit_all
from zephyr.run import refuse_outdated, run_name, shown
from zephyr.study.directory import begin
from zephyr.study.expand import Study
from zephyr.study.run import wanted_works
from zephyr.study.state import FAILED, states_of


def submit_study(study: Study, cluster_file: Path, *, only: Sequence[str] = (), print_only: bool = False) -> None:
    """Submits what is missing; a failed job takes with it those that need it, and the others go on.

    Args:
        study: the study.
        cluster_file: YAML, see launch/cluster.py.
        only: names of rows. Default: all.
        print_only: print the jobs' scripts, and write nothing.

    Raises:
        UserError: a mistake in the cluster's file, an unknown row, a finished run that is out of date, no sbatch.
    """
    cluster = read_cluster(cluster_file)
    works = wanted_works(study, only)
    states = states_of(each.loaded for each in works)
    missing = [each.loaded for each in works if states[each.loaded.run_dir].state != "finished"]
    refuse_outdated(each.loaded for each in works if states[each.loaded.run_dir].state == "finished")
    if print_only:
        print("\n".join(run_script_of(each, cluster, cluster_file) for each in missing), end="")
        return
    require_sbatch(study.loaded, cluster_file)
    begin(study)
    for each in missing:
        (each.run_dir / FAILED).unlink(missing_ok=True)
    jobs = submit_all(missing, cluster, cluster_file)
    number = _submit_table(study, cluster, list(jobs.values()))
    where = shown(study.loaded.run_dir / "report.html")
    print(f"{len(missing)} of {len(works)} runs submitted; job {number} makes the table when they have ended: {where}")
    print(f"  state    zephyr status {shown(study.loaded.file)}")
    print(f"  cancel   scancel {' '.join([*jobs.values(), number])}   (the same command continues)")


def _submit_table(study: Study, cluster: Cluster, jobs: Sequence[str]) -> str:
    """Submits `zephyr report`, after all the jobs have ended in whatever way; returns its job's number."""
    directory = study.loaded.run_dir
    zephyr = Path(sys.executable).with_name("zephyr")
    lines = [f"module load {shlex.quote(each)}" for each in cluster.modules] + cluster.setup
    lines += [f"export {name}={shlex.quote(value)}" for name, value in cluster.environment.items()]
    lines.append(f"exec {shlex.quote(str(zephyr))} report {shlex.quote(str(directory))}")
    after = [f"--dependency=afterany:{':'.join(jobs)}"] if jobs else []
    options = [f"--job-name={run_name(study.loaded)}", "--nodes=1", "--ntasks=1", *directives(cluster, 0),
               f"--chdir={Path.cwd()}", f"--output={directory}/slurm-%j.out"]  # fmt: skip
    script = "\n".join(["#!/bin/bash -l" if cluster.modules else "#!/bin/bash", *lines, ""])
    done = subprocess.run(
        ["sbatch", "--parsable", *after, *options], input=script, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise UserError(f"sbatch refused the job that makes the table:\n    {done.stderr.strip()}\n"
                        f"  Make it by hand when the others have ended: zephyr report {shown(directory)}")  # fmt: skip
    return done.stdout.strip().split(";")[0]
