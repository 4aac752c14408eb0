"""The mini world: a small formal world whose facts come from a seed, so that truth is computed."""
