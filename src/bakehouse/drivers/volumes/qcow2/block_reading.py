"""Reading snapshots by blocks: through the layers of a chain, each opened once and kept open while it is used."""

import time
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Final

from bakehouse.drivers.volumes.qcow2.block_maps import BELOW, LayerReader, open_layer
from bakehouse.drivers.volumes.qcow2.layers import data_key_of
from bakehouse.ports.snapshot_blocks import BLOCK_BYTES, UnrelatedSnapshots
from bakehouse.ports.volumes import LayerKey

#: A backup reads a snapshot within minutes of listing it; a forgotten one holds its files open no longer than this.
IDLE_S: Final = 60.0


class ChainReader:
    """A snapshot's layers, open, the upper first."""

    def __init__(self, names: Sequence[str], layers: Sequence[LayerReader], size_bytes: int) -> None:
        """Take over open layers."""
        self.names = tuple(names)
        self.size_bytes = size_bytes
        self.used_at = time.monotonic()
        self.users = 0
        self._layers = tuple(layers)
        self._blocks: Sequence[int] | None = None

    @classmethod
    def open(
        cls,
        directory: Path,
        name: str,
        size_bytes: int,
        below: Callable[[str], str | None],
        keys: Mapping[str, LayerKey],
    ) -> "ChainReader":
        """Open all layers of a chain, with the keys that their names ask for. Blocks.

        Raises:
            BlocksUnreadable: Single blocks of one cannot be read.
            OSError: One cannot be read; FileNotFoundError, too, when one gave way to another just now.
        """
        names: list[str] = []
        layers: list[LayerReader] = []
        with ExitStack() as opened:
            at: str | None = name
            while at is not None:
                key = keys.get(data_key_of(at) or "")
                path = directory / at
                before = path.stat().st_ino
                layers.append(open_layer(path, None if key is None else key.passphrase))
                opened.callback(layers[-1].close)
                names.append(at)
                at = below(at)
                # What a merge puts in a layer's place stands on other layers than what was opened.
                if path.stat().st_ino != before:
                    raise FileNotFoundError(path)
            opened.pop_all()
        return cls(names, layers, size_bytes)

    def close(self) -> None:
        """Let go of all files."""
        for layer in self._layers:
            layer.close()

    def blocks(self) -> Sequence[int]:
        """Return the indexes of the blocks with data, ascending. Blocks, the first time."""
        if self._blocks is None:
            self._blocks = _with_data(self._layers, self.size_bytes)
        return self._blocks

    def mark_written_above(self, names: Iterable[str], marks: bytearray) -> None:
        """Mark the blocks of which the layers above the first of these have something. Blocks."""
        shared = set(names)
        for name, layer in zip(self.names, self._layers, strict=True):
            if name in shared:
                break
            for start, end, _ in layer.extents():
                first, last = start // BLOCK_BYTES, -(-min(end, self.size_bytes) // BLOCK_BYTES)
                marks[first:last] = b"\1" * (last - first)

    def read(self, index: int) -> tuple[bytes, bytes]:
        """Return a block and its digest. Blocks."""
        start = index * BLOCK_BYTES
        block = self._in_one_piece(start) or self._gathered(start)
        return block, sha256(block).digest()

    def _in_one_piece(self, start: int) -> bytes | None:
        for layer in self._layers:
            piece = layer.piece(start, BLOCK_BYTES)
            if piece != BELOW:
                return piece
        return None

    def _gathered(self, start: int) -> bytes:
        """Return a block of which layers have parts, or none, or that goes beyond the end of the disk."""
        block = bytearray(BLOCK_BYTES)
        length = max(0, min(BLOCK_BYTES, self.size_bytes - start))
        with memoryview(block) as view:
            parts = [(start, length)] if length else []
            for layer in self._layers:
                missing: list[tuple[int, int]] = []
                for at, size in parts:
                    missing += layer.read(at, view[at - start : at - start + size])
                parts = missing
                if not parts:
                    break
        return bytes(block)


def changed(first: ChainReader, second: ChainReader) -> Sequence[int]:
    """Return the blocks that were written in either chain above their common ancestor, ascending. Blocks.

    A layer's name stands for what it reads, whatever is merged below it, so the ancestor is known by its name.

    Raises:
        UnrelatedSnapshots: They have none.
    """
    if not set(first.names) & set(second.names):
        raise UnrelatedSnapshots
    marks = bytearray(-(-max(first.size_bytes, second.size_bytes) // BLOCK_BYTES))
    first.mark_written_above(second.names, marks)
    second.mark_written_above(first.names, marks)
    return _marked(marks)


def _with_data(layers: Sequence[LayerReader], size_bytes: int) -> Sequence[int]:
    """Return the blocks of which something is data, as one reads it through the layers.

    From below upwards each layer covers what it has. Only a block of which a layer hides a part with zeros needs a
    closer look; it is rare.
    """
    count = -(-size_bytes // BLOCK_BYTES)
    state = bytearray(count)
    partly: set[int] = set()
    for layer in reversed(layers):
        for start, end, is_data in layer.extents():
            stop = min(end, size_bytes)
            if start >= stop:
                continue
            first, last = start // BLOCK_BYTES, -(-stop // BLOCK_BYTES)
            if is_data:
                state[first:last] = b"\1" * (last - first)
                continue
            whole_first, whole_last = -(-start // BLOCK_BYTES), stop // BLOCK_BYTES
            if stop == size_bytes:
                whole_last = last
            if whole_last > whole_first:
                state[whole_first:whole_last] = bytes(whole_last - whole_first)
            partly.update(index for index in (first, last - 1) if not whole_first <= index < whole_last)
    for index in partly:
        if state[index] and not _has_data(layers, index, size_bytes):
            state[index] = 0
    return _marked(state)


def _marked(marks: bytearray) -> Sequence[int]:
    """Return where there is a one."""
    found = array("I")
    index = marks.find(1)
    while index >= 0:
        found.append(index)
        index = marks.find(1, index + 1)
    return found


def _has_data(layers: Sequence[LayerReader], index: int, size_bytes: int) -> bool:
    """Look closer at one block: whether anything in it is not zero."""
    reader = ChainReader([""] * len(layers), layers, size_bytes)
    return any(reader.read(index)[0])
