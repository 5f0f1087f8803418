"""Which files nothing needs. Pure: what is there and what is wanted come in, garbage comes out."""

from collections.abc import Iterable, Mapping, Sequence

from bakehouse.drivers.volumes.qcow2.layers import LayerFile


def garbage(files: Sequence[LayerFile], roots: Iterable[str]) -> list[LayerFile]:
    """Return the files that no root reaches through backing files.

    A layer in the middle of a chain is reached from above, whether or not a snapshot still names it.
    """
    reached = reachable({file.name: file.backing for file in files}, roots)
    return [file for file in files if file.name not in reached]


def reachable(backing: Mapping[str, str | None], roots: Iterable[str]) -> set[str]:
    """Follow each root's chain down. Also ends where a chain bites its own tail, which only a broken file does."""
    reached: set[str] = set()
    for root in roots:
        name: str | None = root
        while name is not None and name not in reached:
            reached.add(name)
            name = backing.get(name)
    return reached
