"""Names of the files that a sweep and its jobs keep their books in."""

SWEEP_FILE = "sweep.json"
"""The grid and its jobs, in the sweep's folder."""
STATUS_FILE = "job_status.json"
"""What became of a job, in its folder."""
LOCK_FILE = "job.lock"
"""There as soon as a job has begun; locked while it runs."""
