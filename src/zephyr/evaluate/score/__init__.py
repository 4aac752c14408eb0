"""`zephyr score`: figures of judgments made anywhere."""
