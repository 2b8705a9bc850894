"""Many runs as one: what a sweep is, which of its jobs are done, and what they found together."""
