"""Files of a Hugging Face repository: from the local cache when they are there, else downloaded."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from medsam_exp.types import UserError

_local_files_only = ContextVar("local_files_only", default=False)


@contextmanager
def local_files_only() -> Iterator[None]:
    """Download nothing inside the block: what is not in the local cache is an error. Other threads are not affected."""
    token = _local_files_only.set(True)
    try:
        yield
    finally:
        _local_files_only.reset(token)


def hub_file(repository: str, *names: str) -> Path | None:
    """The first of `names` that the repository has; a cached one goes before a download, and opens no socket.

    That a repository lacks a file is cached too, so that what was fetched once is found again without a network.

    Raises:
        UserError: none is cached, and the hub cannot be reached or does not give access.
    """
    cached = {name: try_to_load_from_cache(repository, name) for name in names}
    for path in cached.values():
        if isinstance(path, str):
            return Path(path)
    unknown = (name for name, known in cached.items() if known is None)
    return next((path for name in unknown if (path := _download(repository, name)) is not None), None)


def _download(repository: str, name: str) -> Path | None:
    try:
        if _local_files_only.get():
            raise LocalEntryNotFoundError(name)
        # Fails at once when the hub is out of reach, where the download alone would retry for half a minute.
        get_hf_file_metadata(hf_hub_url(repository, name), timeout=10)
        return Path(hf_hub_download(repository, name))
    except Exception as error:  # its client changes its HTTP library, and so its errors, between versions
        if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
            with suppress(Exception):
                hf_hub_download(repository, name)  # notes in the cache that it is absent
            return None  # absent; the other one means out of reach
        raise UserError(
            f"{name} of hf-hub:{repository} is not in the local cache and cannot be downloaded; check the "
            "name and the connection, fetch it by `medsam-exp weights get NAME` (mirrors, proxies; `list` "
            "says what there is), or download it elsewhere and set clip.model to its folder."
        ) from error
