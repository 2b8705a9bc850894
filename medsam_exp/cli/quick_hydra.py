"""Hydra composes the same without what it does over and over: in a quarter of the time where it has composed before."""

import copy
import functools
from collections import defaultdict
from itertools import takewhile
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import hydra.version
from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra.core.config_store import ConfigStore
from hydra.core.default_element import ConfigDefault, GroupDefault, ResultDefault
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, ListConfig, OmegaConf, ValueNode, _utils, base, grammar_parser, nodes

LOAD = ConfigRepository.load_config
EMBED = ConfigLoaderImpl._embed_result_config
MERGE = ConfigLoaderImpl._compose_config_from_defaults_list
INTERPOLATION_MAP = defaults_list._create_interpolation_map
_COPIED = frozenset(
    kind
    for kind in (DictConfig, ListConfig, *vars(nodes).values())
    if isinstance(kind, type) and issubclass(kind, DictConfig | ListConfig | ValueNode)
)
"""Kinds of nodes: containers, and values of each type."""
_BEGINNING = "<files that are merged already>"


class _Read(NamedTuple):
    """A file that was read.

    Attributes:
        state: of the file then.
        node: of the store, where it is none on a disk.
        result: its content, which nobody changes.
    """

    state: tuple[int, ...]
    node: object
    result: ConfigResult | None


class _Begun(NamedTuple):
    """What a configuration begins with.

    Attributes:
        files: how many of the configuration that was composed last.
        merged: their content.
    """

    files: int
    merged: DictConfig


_read: dict[tuple[str, ...], _Read] = {}
"""By provider, folder and name."""
_last: list[tuple[Any, str | None, str]] = []
"""Content, package and name of each file of the configuration that was composed last."""
_ONE_AT_A_TIME = Lock()
_begun: list[_Begun] = []
"""Its beginnings that others before it had too, the shortest first."""


@functools.cache
def quicken() -> None:
    """Let Hydra and OmegaConf in this process take these ways; the configurations are the same."""
    # For each group that it lists, Hydra copies the store, which nobody changes: most of the time of --help.
    ConfigStore.__deepcopy__ = lambda store, _: store  # type: ignore[attr-defined]
    _utils.get_yaml_loader = functools.cache(_utils.get_yaml_loader)  # else a new class for each file
    hydra.version._get_version = functools.cache(
        hydra.version._get_version
    )  # else for each entry of a defaults list
    # Trees of interpolations are read alone; a text that cannot be parsed is refused each time.
    base.parse = _utils.parse = grammar_parser.parse = functools.lru_cache(10_000)(grammar_parser.parse)  # type: ignore
    for kind in (ConfigDefault, GroupDefault):
        kind.__deepcopy__ = _copied_entry  # type: ignore[union-attr]
    for node in _COPIED:
        node.__deepcopy__ = _copied_node  # type: ignore[method-assign, union-attr]
    base.Box._re_parent = _adopt  # type: ignore[method-assign, assignment]
    defaults_list._create_interpolation_map = _interpolation_map  # type: ignore[assignment]
    ConfigRepository.load_config = _load  # type: ignore[method-assign, assignment]
    ConfigLoaderImpl._compose_config_from_defaults_list = _merge  # type: ignore[method-assign, assignment]
    ConfigLoaderImpl._embed_result_config = staticmethod(_embed)  # type: ignore[method-assign, assignment]


def _copied_entry(entry: Any, _: object) -> Any:
    """A copy of an entry of a defaults list, whose fields are texts, truth values and at most a list of texts."""
    copied = object.__new__(type(entry))
    copied.__dict__.update(
        {key: list(value) if isinstance(value, list) else value for key, value in vars(entry).items()}
    )
    return copied


def _copied_node(node: Any, memo: dict[int, Any]) -> Any:
    """A copy of a value, or of a container with all below, that has the parent of the original."""
    copied = object.__new__(type(node))
    fields = copied.__dict__
    fields.update(node.__dict__)
    fields["_metadata"] = _copied_metadata(fields["_metadata"], memo)
    fields["_flags_cache"] = None
    content = fields.get("_content")
    if isinstance(content, dict):
        fields["_content"] = {key: _copied_child(child, copied, memo) for key, child in content.items()}
    elif isinstance(content, list):
        fields["_content"] = [_copied_child(child, copied, memo) for child in content]
    return copied


def _copied_child(child: Any, parent: Any, memo: dict[int, Any]) -> Any:
    copied = _copied_node(child, memo) if type(child) in _COPIED else copy.deepcopy(child, memo)
    copied.__dict__["_parent"] = parent
    return copied


def _copied_metadata(metadata: Any, memo: dict[int, Any]) -> Any:
    """A copy of what is known of a node: types and texts, flags by name, and values that resolvers have given."""
    copied = object.__new__(type(metadata))
    copied.__dict__.update(vars(metadata))
    copied.flags = None if metadata.flags is None else dict(metadata.flags)
    cache = metadata.resolver_cache
    copied.resolver_cache = copy.deepcopy(cache, memo) if cache else defaultdict(dict)
    return copied


def _adopt(box: Any) -> None:
    """Make a container the parent of all below it; flags that they have looked up were those of other parents."""
    content = box.__dict__["_content"]
    for child in content.values() if isinstance(content, dict) else _listed(content):
        if child is not None:
            fields = child.__dict__
            fields["_parent"], fields["_flags_cache"] = box, None
            if isinstance(child, base.Box):
                _adopt(child)


def _listed(content: Any) -> list[Any]:
    """Nodes of a list, or the one of a union; none of a text or of nothing."""
    if isinstance(content, list):
        return content
    return [content] if isinstance(content, base.Node) else []


def _interpolation_map(overrides: Any, defaults: Any, self_added: bool) -> Any:
    """All choices so far, which Hydra gathers for each file, where one of its defaults is named by others."""
    interpolated = [d for d in defaults if d.is_interpolation()]
    if any("defaults" in str(vars(d)) for d in interpolated):  # one names others by their place in this list
        return INTERPOLATION_MAP(overrides, defaults, self_added)
    return OmegaConf.create(overrides.known_choices) if interpolated else None


def _load(repository: ConfigRepository, config_path: str) -> ConfigResult | None:
    """A file of the configuration, not copied where this process has read it before and it has not changed since."""
    source, schemas = (
        repository._find_object_source(config_path, ObjectType.CONFIG),
        repository.get_schema_source(),
    )
    if source is None or (source is not schemas and schemas.is_config(config_path)):
        return LOAD(repository, config_path)
    file = source._normalize_file_name(config_path)
    node: object = None
    state: tuple[int, ...] = ()
    match source.scheme():
        case "file":
            status = (Path(source.path) / file).stat()
            state = (status.st_mtime_ns, status.st_size, status.st_ino)
        case "structured":
            node = ConfigStore.instance()._load(file).node
        case other if other != "pkg":
            return LOAD(repository, config_path)
    key = (source.provider, source.path, file)
    known = _read.get(key)
    if known is None or known.node is not node or known.state != state:
        known = _read[key] = _Read(state, node, LOAD(repository, config_path))
    return copy.copy(known.result)


def _merge(
    loader: ConfigLoaderImpl, defaults: list[ResultDefault], repo: CachingConfigRepository
) -> DictConfig:
    """All files merged; those that the configuration before began with are merged once."""
    entries = []
    for default in defaults:
        loaded = repo.load_config(str(default.config_path))
        entries.append((loaded and loaded.config, default.package, str(default.config_path)))
    with _ONE_AT_A_TIME:
        alike = sum(1 for _ in takewhile(_are_same, zip(_last, entries, strict=False)))
        while _begun and _begun[-1].files > alike:
            _begun.pop()
        _last[:] = entries
        if alike > (_begun[-1].files if _begun else 0):
            _begun.append(_Begun(alike, _merged_on(loader, defaults[:alike], repo)))
        return _merged_on(loader, defaults, repo)


def _are_same(two: tuple[tuple[Any, ...], tuple[Any, ...]]) -> bool:
    (content, *rest), (other, *others) = two
    return content is other and rest == others


def _merged_on(
    loader: ConfigLoaderImpl, defaults: list[ResultDefault], repo: CachingConfigRepository
) -> DictConfig:
    """Files merged into what is merged already of their beginning."""
    if _begun:
        begun = _begun[-1]
        repo.cache[f"config_path={_BEGINNING}"] = ConfigResult(
            "", "", begun.merged, {"package": ""}, is_schema_source=True
        )
        first = ResultDefault(config_path=_BEGINNING, package="", primary=True)
        defaults = [first, *defaults[begun.files :]]
    return MERGE(loader, defaults, repo)


def _embed(loaded: ConfigResult, package: str | None) -> ConfigResult:
    """A file's content where its package says; a copy, as merging takes nodes over."""
    embedded = EMBED(loaded, package)
    if embedded.config is loaded.config:
        embedded = copy.copy(loaded)
        embedded.config = copy.deepcopy(loaded.config)
    return embedded
