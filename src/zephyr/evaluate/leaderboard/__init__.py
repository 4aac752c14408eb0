"""The Open LLM Leaderboard's tasks, by lm-evaluation-harness."""
