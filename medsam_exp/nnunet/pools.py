"""Temporary."""
import multiprocessing
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from types import SimpleNamespace

@contextmanager
def in_process_pools(processes: int):
    if processes > 0:
        yield
        return
    from nnunetv2.experiment_planning.dataset_fingerprint import fingerprint_extractor as a
    from nnunetv2.preprocessing.preprocessors import default_preprocessor as b
    from nnunetv2.experiment_planning import verify_dataset_integrity as c
    fake = SimpleNamespace(get_context=lambda kind: SimpleNamespace(Pool=lambda n: ThreadPool(n)))
    mods = (a, b, c)
    try:
        for m in mods: m.multiprocessing = fake
        yield
    finally:
        for m in mods: m.multiprocessing = multiprocessing
