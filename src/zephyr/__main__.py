"""`python -m zephyr` is `zephyr`."""

from zephyr.cli import main
from zephyr.processes import end

if __name__ == "__main__":
    end(main())
