"""The local files that decide what a CLIP computes; those in a folder are known without open_clip, slow to import."""

from importlib.util import find_spec
from pathlib import Path

from medsam_exp.clip.folder import CONFIG, PACKAGED, TRANSFORMERS_CONFIG, described_by, own_weights


def weight_files(model: str, weights: str | None = None, **_: object) -> list[Path]:
    """Local files that decide what `load_clip` with the same arguments computes; missing ones are downloaded.

    A folder's description is not read, so what is wrong in it is said where the network is checked or loaded.

    Raises:
        UserError: something is missing, or cannot be downloaded.
    """
    folder = _local_folder(model)
    path = None if folder is None or weights == "random" else _own_or_given(folder, weights)
    if folder is not None and (path is not None or weights == "random"):
        return [*described_by(folder), *([] if path is None else [path])]

    from medsam_exp.clip.source import find_source, find_weights, tokenizer_files

    source = find_source(model, weights)
    path = find_weights(source, weights)
    return [*tokenizer_files(source), *([] if path is None else [path])]


def _own_or_given(folder: Path, weights: str | None) -> Path | None:
    if weights is None:
        return own_weights(folder)
    path = Path(weights).expanduser()
    return path if path.is_file() else None


def _local_folder(model: str) -> Path | None:
    """The folder that a model's name stands for; None where it stands for another thing, or no model lies there."""
    if model not in PACKAGED and not model.startswith("local-dir:") and _is_open_clips(model):
        return None
    folder = PACKAGED.get(model, Path(model.removeprefix("local-dir:")).expanduser())
    described = any((folder / name).is_file() for name in (CONFIG, TRANSFORMERS_CONFIG))
    return folder if described else None


def _is_open_clips(model: str) -> bool:
    """Whether open_clip knows a network of this name, which comes before a folder's."""
    spec = find_spec("open_clip")  # does not import it
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "model_configs" / f"{model.replace('/', '-')}.json").is_file()
