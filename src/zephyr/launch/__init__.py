"""How the processes of a run are started: accelerate's command line, Slurm's batch script. No torch."""
