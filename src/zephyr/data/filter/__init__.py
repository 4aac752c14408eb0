"""The filters of the `filter` stage, one a file; `chain.py` has their order, `stage.py` the stage itself."""
