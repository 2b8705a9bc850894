"""Records that the processes of a job make together, whoever is free the next: blocks of samples behind locks."""

from collections.abc import Iterator, Sequence

from medsam_exp.runtime import distributed
from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.runtime.locks import acquired, waiting_lock

_BLOCKS_EACH = 8
"""For each process, so that none waits long for the last."""
_FEW = 32
"""Samples of a block, at least, as each is written as a file of its own."""


def own_blocks(stored: StageArtifacts, sample_ids: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Samples without a record, block by block; no other process is given the same ones meanwhile.

    Each process begins at another place and leaves out what others have stored or hold. In the end it comes back to
    the blocks that others held, waits, and is given what has no record even then. So all have a record afterwards
    wherever one can be stored, even if some of the job's processes never ask.

    Args:
        stored: where the caller stores the records of a block before it asks for the next.
        sample_ids: equal on all processes.

    Raises:
        OSError: nothing can be written here.
    """
    processes = distributed.world_size()
    each = len(sample_ids) if processes == 1 else len(sample_ids) // (_BLOCKS_EACH * processes)
    each = max(_FEW, each)
    blocks = [sample_ids[start : start + each] for start in range(0, len(sample_ids), each)]
    first = len(blocks) * distributed.rank() // processes
    held = []
    for number in (*range(first, len(blocks)), *range(first)):
        if not stored.pending(blocks[number]):
            continue
        if (lock := acquired(stored.folder / f"{number}.lock")) is None:
            held.append(number)
            continue
        try:
            if pending := stored.pending(blocks[number]):
                yield pending
        finally:
            lock.release()
    for number in held:
        says = f"{stored.stage:<12} waits for another process that makes a part of it"
        with waiting_lock(stored.folder / f"{number}.lock", says):
            if pending := stored.pending(blocks[number]):
                yield pending
