"""The stages that update weights, on TRL's trainers: `cpt`, `sft` and `dpo`."""
