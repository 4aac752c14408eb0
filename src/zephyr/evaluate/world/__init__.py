"""The mini world's benchmark: held-out dialogues, judged against the world's facts."""
