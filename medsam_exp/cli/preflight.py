"""What a run needs besides the project itself and does not find, with what mends it; no socket is opened."""

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from medsam_exp.cli.compose import composed
from medsam_exp.cli.weights.catalogue import Weights, catalogue, published_at
from medsam_exp.cli.weights.local_cache import DESCRIPTIONS, state
from medsam_exp.config.stage_rows import stage_row
from medsam_exp.config.trials import searches
from medsam_exp.runtime.extras import EXTRAS
from medsam_exp.runtime.wording import first_line
from medsam_exp.stages.pipeline import STAGES, Stage, readers
from medsam_exp.types import UserError

_HUB = "hf-hub:"
_GET = "medsam-exp weights get {}"
_PREPARE = "medsam-exp prepare {} DOWNLOAD"
PREPARED = {
    "breast_tumors": "busi",
    "brain_tumors": "brain_mri",
    "lung_Xray": "lung_xray",
    "lung_CT": "lung_ct",
    "biomedparse": "biomedparse",
    "medsegbench": "medsegbench",
    "medclipseg": "medclipseg",
    "cvpr_text_3d": "cvpr_text_3d",
    "medpix_dataset": "medpix",
    "roco": "roco",
}
"""Folders of data, and what prepares them from the original downloads."""
_GIVEN = {"text.path": "give a JSON of file names and sentences, such as the authors': text.path=FILE.json"}
"""What values are that only the user knows."""


@dataclass(frozen=True)
class Need:
    """One thing that is not there.

    Attributes:
        thing: its name, short.
        what: half a sentence: the setting, its value, what is wrong.
        mend: a command, or the other half of the sentence.
        command: whether `mend` is to be typed as it is.
        blocks: whether the run cannot go without; else it fetches the thing itself, where it has a connection.
    """

    thing: str
    what: str
    mend: str
    command: bool = False
    blocks: bool = True

    @property
    def sentence(self) -> str:
        """Both halves."""
        return f"{self.what}; {f'`{self.mend}` mends it' if self.command else self.mend}"


def needs_of(overrides: Sequence[str]) -> list[Need]:
    """What a run with these options does not find; values that have to be given come first."""
    try:
        cfg = composed(overrides)
        missing = sorted(OmegaConf.missing_keys(cfg))
        unset = [
            Need(key, f"{key} is not set", _GIVEN.get(key, f"give a value: {key}=...")) for key in missing
        ]
        return [*unset, *(need for look in LOOKS for need in look(cfg))]
    except (UserError, OmegaConfBaseException) as error:
        return [Need("its configuration", first_line(error), "see the file that it names")]


def images(cfg: DictConfig) -> Iterator[Need]:
    """The folder of images must be there, where a stage works on images."""
    root = OmegaConf.select(cfg, "data.root", throw_on_missing=False)
    if root is None or not _any(cfg, lambda stage: stage.scope in ("samples", "images", "split")):
        return
    if not Path(root).is_dir():
        yield _prepared(
            f"images in {root}",
            f"data.root={root} is not a folder",
            Path(root).name,
            "point data.root at your images",
        )


def pairs(cfg: DictConfig) -> Iterator[Need]:
    """Files of pairs must be there, where a stage reads pairs."""
    if not readers(cfg.stages, "pairs"):
        return
    files = [node.file for node in cfg.pairs.values() if isinstance(node, DictConfig) and node.get("file")]
    for file in dict.fromkeys(files):
        if not Path(file).is_file():
            otherwise = "it should have the columns filename and Caption"
            yield _prepared(f"pairs in {file}", f"{file} is not a file", Path(file).parent.name, otherwise)


def sam(cfg: DictConfig) -> Iterator[Need]:
    """A checkpoint of SAM that is named must be there, and whole; a detector of a text's boxes needs one too."""
    file, detector = OmegaConf.select(cfg, "sam.checkpoint"), "sam" in cfg.text_segmenter
    groups = {"sam", "text_segmenter"} if detector else {"sam"}
    if file is not None and file != "random" and _any(cfg, lambda stage: bool(groups & {*stage.weights})):
        yield from _file("sam.checkpoint", file, cfg)


def clip(cfg: DictConfig) -> Iterator[Need]:
    """A CLIP's file or folder that is named must be there; the hub's may be in the local cache or are fetched.

    A segmenter that chooses among regions by CLIP needs one, too.
    """
    groups = {"clip", "text_segmenter"} if "clip" in cfg.text_segmenter else {"clip"}
    if not _any(cfg, lambda stage: bool(groups & {*stage.weights})):
        return
    weights, model = OmegaConf.select(cfg, "clip.weights"), str(cfg.clip.model)
    found = list(_file("clip.weights", weights, cfg)) if weights is not None and "/" in str(weights) else []
    yield from found
    fetched = [catalogue().get(need.thing.removeprefix("weights ")) for need in found]
    if any(entry and entry.files[-1].name in DESCRIPTIONS for entry in fetched):
        return  # what fetches the weights fetches the rest of the model, too
    if model.startswith(_HUB) and not in_hub_cache(model):
        page = f"https://huggingface.co/{model.removeprefix(_HUB)}"
        entry = next((each for each in catalogue().values() if each.page == page), None)
        what = f"clip.model={model} is not in the local cache; the run fetches it"
        yield _fetched(entry, model, what, "set clip.model=FOLDER", blocks=False)
    elif "/" in model and not model.startswith(_HUB) and not Path(model).expanduser().is_dir():
        what = f"clip.model={model} is not a folder"
        yield Need(f"the folder {model}", what, "point clip.model at one in open_clip's layout")


def text_segmenter(cfg: DictConfig) -> Iterator[Need]:
    """The folder or file of a text-prompted segmenter must be there."""
    if "model" not in cfg.text_segmenter or not _any(cfg, lambda stage: "text_segmenter" in stage.weights):
        return  # or it is made of other groups' networks
    model, folder = str(cfg.text_segmenter.model), Path(cfg.paths.weights).expanduser()
    path = Path(model).expanduser()
    if not path.exists():
        what = f"text_segmenter.model={model} is neither a folder nor a file"
        entry = published_at(path / "config.json", folder) or published_at(path, folder)
        if entry is not None and entry.by_hand:
            yield Need(f"weights {entry.name}", what, entry.by_hand)
        else:
            yield _fetched(entry, model, what, "point text_segmenter.model at one")


def packages(cfg: DictConfig) -> Iterator[Need]:
    """Packages that not every set-up has: a method names its own as `requires`."""
    groups = dict.fromkeys(group for stage in _rows(cfg) for group in stage.reads)
    nodes = [cfg[group] for group in (*groups, "logger") if isinstance(cfg[group], DictConfig)]
    methods = [package for node in nodes if "_target_" in node and (package := _required(node["_target_"]))]
    for package in dict.fromkeys([*methods, *(["optuna"] if searches(cfg) else [])]):
        if find_spec(package) is None:
            yield Need(
                f"the package {package}",
                f"the package {package} is not installed",
                EXTRAS[package].installs,
                command=True,
            )


LOOKS: tuple[Callable[[DictConfig], Iterator[Need]], ...] = (
    images,
    pairs,
    clip,
    sam,
    text_segmenter,
    packages,
)


def in_hub_cache(model: str) -> bool:
    """Whether a model of the hub has been fetched by an earlier run; true for models of other kinds."""
    from huggingface_hub import try_to_load_from_cache  # slow to import

    repository = model.removeprefix(_HUB)
    found = (try_to_load_from_cache(repository, name) for name in DESCRIPTIONS)
    return repository == model or any(isinstance(path, str) for path in found)


def _any(cfg: DictConfig, which: Callable[[Stage], bool]) -> bool:
    return any(map(which, _rows(cfg)))


def _rows(cfg: DictConfig) -> list[Stage]:
    return [stage_row(cfg, name) for name in cfg.stages if name in STAGES]


@cache
def _required(target: str) -> str | None:
    """The package that a method's class names as `requires`, read from its source, as importing it takes seconds.

    None where it names none, or where the source is not found, which a run reports.
    """
    top, *parts, name = target.split(".")
    try:
        spec = find_spec(top)
        place = Path(str(spec and spec.origin)).parent.joinpath(*parts)
        source = place.with_suffix(".py") if parts and not place.is_dir() else place / "__init__.py"
        tree = ast.parse(source.read_bytes())
    except (ImportError, ValueError, OSError, SyntaxError):
        return None
    for node in (each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == name):
        for part in node.body:
            match part:
                case (
                    ast.AnnAssign(target=ast.Name("requires"), value=ast.Constant(str(package)))
                    | ast.Assign(targets=[ast.Name("requires")], value=ast.Constant(str(package)))
                ):
                    return package
    return None


def _prepared(thing: str, what: str, folder: str, otherwise: str) -> Need:
    if folder not in PREPARED:
        return Need(thing, what, otherwise)
    return Need(thing, f"{what} ({otherwise})", _PREPARE.format(PREPARED[folder]), command=True)


def _fetched(entry: Weights | None, name: str, what: str, otherwise: str, *, blocks: bool = True) -> Need:
    """Weights that are not here, which a command fetches where the catalogue has them."""
    if entry is None:
        return Need(f"the weights {name}", what, otherwise, blocks=blocks)
    return Need(f"weights {entry.name}", what, _GET.format(entry.name), command=True, blocks=blocks)


def _file(key: str, file: str, cfg: DictConfig) -> Iterator[Need]:
    path, folder = Path(file).expanduser(), Path(cfg.paths.weights).expanduser()
    entry = published_at(path, folder)
    if not path.is_file():
        yield _fetched(entry, file, f"{key}={file} is not a file", f"point {key} at a file")
    elif entry is not None and state(entry, folder).kind == "wrong":
        yield Need(
            f"weights {entry.name}, undamaged",
            f"{key}={file} is not the published file",
            f"rm {path} && {_GET.format(entry.name)}",
            command=True,
        )
