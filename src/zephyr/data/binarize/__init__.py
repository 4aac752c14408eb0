"""The `binarize` stage and its strategies."""
