"""What this machine can run, what each experiment still lacks, and what mends it."""
