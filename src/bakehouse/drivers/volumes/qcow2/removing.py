"""Removing what a sweep has found, and telling what it took."""

from collections.abc import Sequence
from pathlib import Path

from bakehouse.drivers.volumes.qcow2.layers import LayerDirectory, LayerFile
from bakehouse.ports.volumes import SweepReport


def remove_garbage(
    directory: LayerDirectory, layers: Sequence[LayerFile], scratch: Sequence[Path], *, remove: bool
) -> SweepReport:
    """Report these, those of `scratch` that are still there, and remove them if asked to. Blocks."""
    bytes_freed = sum(layer.allocated_bytes for layer in layers)
    names = [f"layers/{layer.name}" for layer in layers]
    for path in scratch:
        try:
            bytes_freed += path.stat().st_blocks * 512
        except FileNotFoundError:
            continue
        names.append(f"incoming/{path.name}")
    if remove:
        directory.discard(layer.name for layer in layers)
        for path in scratch:
            path.unlink(missing_ok=True)
    return SweepReport(files=tuple(sorted(names)), bytes_freed=bytes_freed)
