"""dDPO: accelerate launch [--config_file ...] scripts/run_dpo.py RECIPE [--key=value ...]."""

import sys

from zephyr.cli import run_script

if __name__ == "__main__":
    sys.exit(run_script(("dpo",), sys.argv[1:]))
