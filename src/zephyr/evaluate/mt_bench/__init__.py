"""MT-Bench: FastChat's files, prompts and figures."""
