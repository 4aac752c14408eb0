"""AlpacaEval: its files, its judge and its figures."""
