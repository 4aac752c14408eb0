"""`zephyr convert`: recipes of other toolkits become ours."""
