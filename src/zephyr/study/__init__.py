"""Studies: one YAML of what varies, every run that it takes, each once, and one table."""
