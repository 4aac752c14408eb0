"""`zephyr run STUDY --slurm CLUSTER`: each missing run a job, after the jobs of what it needs; the table last."""

import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from zephyr.errors import UserError
from zephyr.launch.cluster import Cluster, directives, read_cluster
from zephyr.launch.slurm import quoted, require_sbatch, run_script_of, submit_all
from zephyr.recipe.problems import shown
from zephyr.run import refuse_outdated, run_name
from zephyr.study.directory import begin, refuse_taken
from zephyr.study.expand import Study, Work
from zephyr.study.run import note_what_it_continues, wanted_works
from zephyr.study.state import FAILED, states_of


def submit_study(study: Study, cluster_file: Path, *, only: Sequence[str] = (), print_only: bool = False) -> None:
    """Submits what is missing; a failed job takes with it those that need it, and the others go on.

    Args:
        study: the study.
        cluster_file: YAML, see launch/cluster.py.
        only: names of rows. Default: all.
        print_only: print the jobs' scripts, and write nothing.

    Raises:
        UserError: a mistake in the cluster's file, an unknown row, a finished run that is out of date, no sbatch,
            a directory that holds something else than this study.
    """
    refuse_taken(study)
    cluster = read_cluster(cluster_file)
    works = wanted_works(study, only)
    states = states_of(each.loaded for each in works)
    to_do = [each for each in works if states[each.loaded.run_dir].state != "finished"]
    missing = [each.loaded for each in to_do]
    refuse_outdated(each.loaded for each in works if states[each.loaded.run_dir].state == "finished")
    if print_only:
        print("\n".join(_scripts(study, to_do, cluster, cluster_file)), end="")
        return
    require_sbatch(study.loaded, cluster_file)
    begin(study)
    for each in to_do:
        each.loaded.run_dir.mkdir(parents=True, exist_ok=True)
        (each.loaded.run_dir / FAILED).unlink(missing_ok=True)
        note_what_it_continues(each)
    continues = {each.loaded.run_dir: each.continues for each in to_do if each.continues}
    jobs = submit_all(missing, cluster, cluster_file, continues)
    number = _submit_table(study, cluster, list(jobs.values()))
    where = shown(study.loaded.run_dir / "report.html")
    print(f"{len(missing)} of {len(works)} runs submitted; job {number} makes the table when they have ended: {where}")
    print(f"  state    zephyr status {shown(study.loaded.run_dir)}")
    print(f"  cancel   scancel {' '.join([*jobs.values(), number])}   (the same command continues)")


def _scripts(study: Study, missing: Sequence[Work], cluster: Cluster, cluster_file: Path) -> Iterator[str]:
    """Every job's script, below a line that says after which of the others it starts."""
    number = {each.loaded.run_dir: n for n, each in enumerate(missing, 1)}
    for each in missing:
        needs = [f"job {number[run_dir]}" for run_dir in each.needs if run_dir in number]
        after = f", after {' and '.join(needs)} (afterok)" if needs else ""
        yield f"# ---- job {number[each.loaded.run_dir]} of {len(missing) + 1}: {run_name(each.loaded)}{after}"
        yield run_script_of(each.loaded, cluster, cluster_file)
    after = ", after all others, however they ended (afterany)" if missing else ""
    yield f"# ---- job {len(missing) + 1} of {len(missing) + 1}: the table{after}"
    yield _table_script(study, cluster)


def _table_script(study: Study, cluster: Cluster) -> str:
    """The batch script of `zephyr report`."""
    directory = study.loaded.run_dir
    options = [f"--job-name={run_name(study.loaded)}", "--nodes=1", "--ntasks=1", *directives(cluster, 0),
               f"--chdir={Path.cwd()}", f"--output={directory}/slurm-%j.out"]  # fmt: skip
    lines = [f"#SBATCH {quoted(each)}" for each in options]
    lines += [f"module load {shlex.quote(each)}" for each in cluster.modules] + cluster.setup
    lines += [f"export {name}={shlex.quote(value)}" for name, value in cluster.environment.items()]
    zephyr = Path(sys.executable).with_name("zephyr")
    lines.append(f"exec {shlex.quote(str(zephyr))} report {shlex.quote(str(directory))}")
    return "\n".join(["#!/bin/bash -l" if cluster.modules else "#!/bin/bash", *lines, ""])


def _submit_table(study: Study, cluster: Cluster, jobs: Sequence[str]) -> str:
    """Submits `zephyr report`, after all the jobs have ended in whatever way; returns its job's number."""
    after = [f"--dependency=afterany:{':'.join(jobs)}"] if jobs else []
    words = ["sbatch", "--parsable", *after]
    done = subprocess.run(words, input=_table_script(study, cluster), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        by_hand = f"zephyr report {shown(study.loaded.run_dir)}"
        raise UserError(f"sbatch refused the job that makes the table:\n    {done.stderr.strip()}\n"
                        f"  Make it by hand when the others have ended: {by_hand}")  # fmt: skip
    return done.stdout.strip().split(";")[0]
