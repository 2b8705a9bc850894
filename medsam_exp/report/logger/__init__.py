"""Where a run's figures go while it works; always closed, also when the run fails.

A tracker is a context manager; one file and one YAML of `conf/logger` each. Our own files (summary.json,
per_image.csv, curves) come first and with every tracker; a service comes second, and its failure never fails a run.
"""
