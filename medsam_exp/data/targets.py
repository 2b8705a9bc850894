"""What is to be found in the images of a folder: one target, or one for each of several classes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from medsam_exp.types import UserError

_UNSAFE = re.compile(r'[/\\:*?"<>|@%\x00-\x1f]|^[ .]|[ .]$|^$')


@dataclass(frozen=True)
class Target:
    """One thing to find, and where its true pixels are.

    Attributes:
        class_name: None where the folder has a single target.
        folder: of its masks, below SPLIT_masks; "" when they lie there directly.
        values: that count as foreground in its masks; None for two-valued masks.
    """

    class_name: str | None = None
    folder: str = ""
    values: tuple[int, ...] | None = None

    def sample_id(self, stem: str) -> str:
        """Id of this target in one image: the image's stem, followed by @ and the class where there is one."""
        return stem if self.class_name is None else f"{stem}@{self.class_name}"


@dataclass(frozen=True)
class Targets:
    """All that is to be found in each image.

    Attributes:
        each: one target, or one per class.
        listed: all values that label masks may have; None when any value may occur.
    """

    each: tuple[Target, ...]
    listed: frozenset[int] | None = None

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders of masks below SPLIT_masks."""
        return tuple(dict.fromkeys(target.folder for target in self.each))

    @property
    def values(self) -> tuple[int, ...] | None:
        """All values that count as foreground of any target; None for two-valued masks."""
        given = [target.values for target in self.each if target.values is not None]
        return tuple(sorted(set().union(*given))) if given else None


def targets_of(
    classes: dict[str, int | list[int]] | list[str] | None,
    mask_values: Sequence[int] | None,
    background: Sequence[int],
) -> Targets:
    """What a folder's configuration asks for.

    Args:
        classes: values by class, of masks with several values; or names of folders below SPLIT_masks, one per
            class; None for a single target.
        mask_values: values that are foreground, where no class has values of its own.
        background: values that belong to no class.

    Raises:
        UserError: a class has an unusable name or no value, or the settings contradict each other.
    """
    shared = None if mask_values is None else tuple(int(value) for value in mask_values)
    if classes is None:
        return Targets((Target(values=shared),))
    if not classes:
        raise UserError("data.classes is empty: name the classes, or use null for a single target")
    _check_names(list(classes))
    if isinstance(classes, list):
        return Targets(tuple(Target(name, name, shared) for name in classes))
    if shared is not None:
        raise UserError(
            "data.mask_values and data.classes both say which values count: set one of them to null"
        )
    values = {name: _values(name, given, background) for name, given in classes.items()}
    listed = frozenset(background).union(*values.values())
    return Targets(tuple(Target(name, "", values[name]) for name in classes), listed)


def _check_names(names: list[str]) -> None:
    for name in names:
        if not isinstance(name, str):
            raise UserError(
                f"data.classes has {name!r}, a word that YAML reads so (no, yes, 1): put it in quotes"
            )
        if _UNSAFE.search(name):
            raise UserError(
                f"data.classes has {name!r}, which cannot be part of a file's name: use letters, digits, "
                "spaces, hyphens and underscores"
            )
    folded = [name.casefold() for name in names]
    twice = [name for name in names if folded.count(name.casefold()) > 1]
    if twice:
        raise UserError(
            f"data.classes has {' and '.join(twice)}, which are one name to some file systems: rename one"
        )


def _values(name: str, given: int | Sequence[int], background: Sequence[int]) -> tuple[int, ...]:
    values = (given,) if isinstance(given, int) else tuple(int(value) for value in given)
    if not values:
        raise UserError(f"data.classes.{name} is empty: give the values of its pixels, such as [1]")
    both = sorted(set(values) & set(background))
    if both:
        raise UserError(
            f"data.classes.{name} and data.background both have {', '.join(map(str, both))}: remove it from one"
        )
    return values
