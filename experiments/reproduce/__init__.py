"""The paper's tables and ablations, each one command: `python -m experiments.reproduce table3`.

A folder of `experiments/` with a `runs.yaml` is one table: which sweeps of `run.py` make it, on the paper's data
(scale `paper`), on few drawn scans (`phantom`) or on many (`phantom-large`). Its `expected.json` has the paper's
numbers and those that were measured here. What is missing is said before anything runs; what can run, runs; what is
done is read back.
"""
