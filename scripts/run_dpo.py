"""dDPO: accelerate launch [--config_file ...] scripts/run_dpo.py RECIPE [--key=value ...]."""

import sys

from zephyr.cli import run_script
from zephyr.processes import end

if __name__ == "__main__":
    end(run_script(("dpo",), sys.argv[1:]))
