"""Other packages that add to this one: modules that register what they bring when they are imported."""

from importlib.metadata import entry_points

from medsam_exp.runtime.errors import UserError


def load_extensions(group: str) -> None:
    """Import the modules that installed packages name as entry points of a group.

    Args:
        group: of the entry points; each names a module.

    Raises:
        UserError: a module cannot be imported.
    """
    for point in entry_points(group=group):
        try:
            point.load()
        except ImportError as error:
            package = point.dist.name if point.dist else "a package"
            raise UserError(
                f"{package} names {point.value} as {point.name!r} of {group}, but it cannot be imported: {error}"
            ) from error
