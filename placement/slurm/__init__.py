"""What coldplate reads from a Slurm cluster, and the few things that it changes there."""
