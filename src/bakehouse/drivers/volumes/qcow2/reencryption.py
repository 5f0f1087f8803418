"""Copying a snapshot under another key: all that its layers hold, encrypted anew, in a layer that stands alone.

Neither the keys of the source nor its layers are needed afterwards. QEMU copies, in the background of everything else;
the only bytes that it writes are encrypted ones.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bakehouse.drivers.volumes.qcow2 import opening, tools
from bakehouse.drivers.volumes.qcow2.layers import QCOW2
from bakehouse.drivers.volumes.qcow2.stock import Stock
from bakehouse.ports.volumes import FileBelow


class Reencryption:
    """Makes such copies."""

    def __init__(self, stock: Stock) -> None:
        self._layers = stock.layers
        self._opening = stock.opening
        self._pins = stock.pins
        self._threads = stock.threads
        self._reserve_bytes = stock.reserve_bytes

    async def is_wholly(self, layer: str, key_id: str) -> bool:
        """Tell whether a layer and all below it are encrypted with this key."""
        names = await self._threads.run(self._layers.chain, layer)
        return all(self._opening.key_id(name) == key_id for name in names)

    @asynccontextmanager
    async def copy(
        self, files: Sequence[FileBelow], size_bytes: int, snapshot_id: str, key_id: str
    ) -> AsyncIterator[str]:
        """Give the name of a frozen layer with the content of a disk. If the block fails it is garbage.

        Raises:
            StorageFull: Nothing is left.
            KeyUnavailable: Nothing is left.
            ProcessFailed: Nothing is left.
        """
        needed_bytes = await self._threads.run(_allocated_bytes, files)
        tools.require_space(self._layers.directory, needed_bytes=needed_bytes, reserve_bytes=self._reserve_bytes)
        key = await self._opening.key_over(None, key_id)
        if key is None:
            raise ValueError("a copy without a key is no copy of bytes")
        name = await self._threads.run(self._layers.new_name, snapshot_id, QCOW2, key.id)
        made = FileBelow(path=str(self._layers.path(name)), format=QCOW2, key=key)
        with self._pins.hold(name, key.id):
            try:
                await self._layers.create_top(name, backing=None, size_bytes=size_bytes, key=key)
                with opening.secrets_passed([*files, made]) as (secrets, descriptors):
                    await tools.patient_qemu_img(
                        *("convert", "-q", "-n", "--target-is-zero", *secrets),
                        *("--target-image-opts", opening.image(files), tools.target_options(made.path, key.id)),
                        cwd=self._layers.directory,
                        pass_fds=descriptors,
                    )
                    await tools.qemu_img("check", "-q", *secrets, opening.part([made]), pass_fds=descriptors)
                await self._threads.run(self._layers.freeze, name)
                yield name
            except BaseException:
                await self._threads.run(self._layers.discard, [name])
                raise


def _allocated_bytes(files: Sequence[FileBelow]) -> int:
    return sum(Path(file.path).stat().st_blocks * 512 for file in files)
