"""Which layers to merge next. Pure: what is there and what is named come in, one run of layers comes out.

A *run* is a part of a chain, upper layer first. Merged, it is one layer that reads the same as its uppermost and takes
that one's place under its name, for all that lie above it. The others of the run stay while somebody needs them.

Two reasons to merge. A chain is too long: then the run is taken that costs least. Or layers are there that nobody names
and that only the next one needs, left by deleted snapshots: then they are merged where that frees much for its cost.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from bakehouse.drivers.volumes.qcow2.layers import QCOW2, LayerFile, format_of

#: Reads are flat to a depth of 16, and half as fast at 32. Source: docs/decisions/0005.
MAX_DEPTH: Final = 16
#: A chain is merged when it is longer than this, so that snapshots taken meanwhile find room below the limit ...
LONG: Final = 12
#: ... down to this. Each merge then lasts for five snapshots; the fewer, the more often data is copied.
SHORT: Final = 8

#: Layers that nobody names are merged if that frees at least this part of the largest among them: a layer of 10 GiB
#: is not copied to save one of 10 MiB.
_WORTH: Final = 0.5


@dataclass(frozen=True, slots=True)
class Run:
    """Layers to merge, upper first, and what lies below them."""

    names: tuple[str, ...]
    below: str | None
    cost_bytes: int
    """What is read and written at most."""

    @property
    def upper(self) -> str:
        """The layer whose place the merged one takes."""
        return self.names[0]


@dataclass(frozen=True, slots=True)
class Layers:
    """What is known of the layers at one moment."""

    files: Mapping[str, LayerFile]
    named: Collection[str]
    """Layers that a volume or snapshot names, or that work in progress needs."""
    fixed: Collection[str] = ()
    """Layers whose files must stay as they are: tops, and those that may become tops again."""

    def chain(self, name: str) -> list[LayerFile]:
        """Return a layer and all below it."""
        found: dict[str, LayerFile] = {}
        at: str | None = name
        while at is not None and at in self.files and at not in found:
            found[at] = self.files[at]
            at = found[at].backing
        return list(found.values())

    def is_mergeable(self, layer: LayerFile) -> bool:
        """Tell whether a layer may be part of a run. A raw one may not: it is an image's disk, which many share."""
        return layer.is_frozen and format_of(layer.name) == QCOW2 and layer.name not in self.fixed


def choose(layers: Layers, *, longest: int = LONG, shortest: int = SHORT) -> Run | None:
    """Return the run to merge next, None when all is well."""
    too_long = [chain for chain in map(layers.chain, layers.named) if len(chain) > longest]
    for chain in sorted(too_long, key=len, reverse=True):
        run = _cheapest(layers, chain, length=len(chain) - shortest + 1)
        if run is not None:
            return run
    return min(_worthwhile(layers), key=lambda run: run.cost_bytes, default=None)


def whole(layers: Layers, top: str) -> Run | None:
    """Return the run of all that may be merged below a volume's top; None where that is one layer at most.

    Merged, the data of the volume lie in order in one file. Those layers that snapshots name stay beside it.
    """
    below = layers.chain(top)[1:]
    window = list(takewhile(layers.is_mergeable, below))
    return _run(window) if len(window) > 1 else None


def _cheapest(layers: Layers, chain: Sequence[LayerFile], *, length: int) -> Run | None:
    """Return the cheapest run of that length, or the longest there is: copying costs, and so does what stays twice."""
    private = _private(layers)

    def price(window: Sequence[LayerFile]) -> int:
        return _bytes(window) + _bytes(layer for layer in window[1:] if layer.name not in private)

    for wanted in range(length, 1, -1):
        # Of equals the lowest: it is the part of the chain that most others share.
        windows = list(_windows(layers, chain, wanted))[::-1]
        if windows:
            return _run(min(windows, key=price))
    return None


def _windows(layers: Layers, chain: Sequence[LayerFile], length: int) -> Iterable[Sequence[LayerFile]]:
    for start in range(len(chain) - length + 1):
        window = chain[start : start + length]
        if all(layers.is_mergeable(layer) for layer in window):
            yield window


def _worthwhile(layers: Layers) -> Iterable[Run]:
    private = _private(layers)
    for upper in layers.files.values():
        if not layers.is_mergeable(upper) or upper.name in private:
            continue  # It is the middle of a run, which is found from its upper end.
        window = [upper]
        for layer in layers.chain(upper.name)[1:]:
            if layer.name not in private:
                break
            window.append(layer)
        while len(window) > 1:
            largest = max(layer.allocated_bytes for layer in window)
            if _bytes(window) - largest >= largest * _WORTH:
                yield _run(window)
                break
            window.pop()


def _private(layers: Layers) -> set[str]:
    """Return the layers that only one other needs, which is mergeable too: merged into that one they can go."""
    reached = {layer.name: layer for name in layers.named for layer in layers.chain(name)}
    needed_by = Counter(layer.backing for layer in reached.values())
    return {
        layer.backing
        for layer in reached.values()
        if layer.backing in reached
        and needed_by[layer.backing] == 1
        and layer.backing not in layers.named
        and layers.is_mergeable(layer)
        and layers.is_mergeable(reached[layer.backing])
    }


def _run(window: Sequence[LayerFile]) -> Run:
    return Run(tuple(layer.name for layer in window), window[-1].backing, _bytes(window))


def _bytes(window: Iterable[LayerFile]) -> int:
    return sum(layer.allocated_bytes for layer in window)
