"""The filters of the `filter` stage, one a file; `chain.py` has their order, `data/filter.py` the stage."""
