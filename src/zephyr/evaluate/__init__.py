"""Evaluation: models answer held-out prompts, a judge scores them, intervals say what can be told apart."""
