"""The label report: what preferences are like, wherever they come from."""
