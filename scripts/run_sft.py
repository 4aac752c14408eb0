"""dSFT (and `stage: cpt`): accelerate launch [--config_file ...] scripts/run_sft.py RECIPE [--key=value ...]."""

import sys

from zephyr.cli import run_script

if __name__ == "__main__":
    sys.exit(run_script(("sft", "cpt"), sys.argv[1:]))
