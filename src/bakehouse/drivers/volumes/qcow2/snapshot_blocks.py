"""The snapshot blocks port, by qcow2 layers: see `block_reading` and `block_writing` for how.

An upload lives in `uploads/` below the store's root until it is complete. Then its file becomes a frozen layer and a
manifest names it; the journal goes last, so that a crash at any point leaves an upload or a snapshot.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final, NoReturn

from bakehouse.drivers.volumes.qcow2 import block_reading, block_writing, opening, tools
from bakehouse.drivers.volumes.qcow2.block_reading import ChainReader
from bakehouse.drivers.volumes.qcow2.block_writing import JOURNAL_SUFFIX, Lost, Upload
from bakehouse.drivers.volumes.qcow2.layers import QCOW2, TOP_MODE, format_of, prepare_directory
from bakehouse.drivers.volumes.qcow2.manifests import SnapshotManifest
from bakehouse.drivers.volumes.qcow2.stock import Stock
from bakehouse.drivers.volumes.qcow2.tables import Plan
from bakehouse.ports.keys import KeyUnavailable
from bakehouse.ports.snapshot_blocks import BLOCK_BYTES, BlocksUnreadable, NoSuchUpload, WrittenBlocks
from bakehouse.ports.volumes import FileBelow, LayerKey

#: A chain that is merged while it is opened is opened anew; that it happens again and again means something else.
_OPENINGS: Final = 5

#: Each has every layer of its chain open: a backup of many snapshots, one after the other, would take all descriptors.
_MOST_OPEN: Final = 32


class _Writing:
    """An upload in use: how many calls write to it, and whether it takes more."""

    def __init__(self, upload: Upload, pinned: ExitStack) -> None:
        self.upload = upload
        self.pinned = pinned
        self.writers = 0
        self.is_sealed = False
        self.quiet = asyncio.Condition()
        self.ending = asyncio.Lock()
        """Held by whoever completes or cancels it."""

    async def left(self) -> None:
        """Wake who waits for the last writer, if this was it."""
        if self.is_sealed and not self.writers:
            async with self.quiet:
                self.quiet.notify_all()


class Qcow2SnapshotBlocks:
    """Reads and writes blocks. Fulfils `bakehouse.ports.snapshot_blocks.SnapshotBlocks`."""

    def __init__(self, stock: Stock) -> None:
        """Go on with the uploads of an earlier server. Blocks; for the start of one."""
        self._directory = stock.root / "uploads"
        self._snapshots = stock.snapshots
        self._layers = stock.layers
        self._pins = stock.pins
        self._threads = stock.threads
        self._reserve_bytes = stock.reserve_bytes
        self._chains = stock.opening
        self._readers: dict[str, ChainReader] = {}
        self._closing: asyncio.TimerHandle | None = None
        self._opening: dict[str, asyncio.Lock] = {}
        self._writings: dict[str, _Writing] = {}
        prepare_directory(self._directory, None)
        self._resume()

    async def blocks(self, snapshot_id: str) -> Sequence[int]:
        """Return the blocks with data: see the port."""
        async with self._reader(snapshot_id) as reader:
            return await self._threads.run(reader.blocks)

    async def changed_blocks(self, first_id: str, second_id: str) -> Sequence[int]:
        """Return the blocks that were written: see the port."""
        async with self._reader(first_id) as first, self._reader(second_id) as second:
            return await self._threads.run(block_reading.changed, first, second)

    async def read(self, snapshot_id: str, index: int) -> tuple[bytes, bytes]:
        """Return a block and its digest: see the port."""
        async with self._reader(snapshot_id) as reader:
            return await self._threads.run(reader.read, index)

    async def begin(
        self, snapshot_id: str, *, size_bytes: int, parent_id: str | None, key_id: str | None = None
    ) -> None:
        """Begin an upload: see the port.

        Raises:
            ValueError: The size is no number of blocks, or less than the parent's.
            NoSuchSnapshot: Nothing was begun.
            StorageFull: Nothing was begun.
        """
        if snapshot_id in self._writings or self._snapshots.get(snapshot_id) is not None:
            return
        parent = None if parent_id is None else self._snapshots.require(parent_id)
        if size_bytes <= 0 or size_bytes % BLOCK_BYTES or (parent is not None and size_bytes < parent.size_bytes):
            raise ValueError(f"a snapshot cannot have {size_bytes} bytes")
        layer = None if parent is None else parent.layer
        with tools.full_disk_named(), ExitStack() as stack:
            stack.enter_context(self._pins.hold(layer))
            self._require_space()
            key = await self._chains.key_over(layer, key_id)
            plan = Plan(
                size_bytes=size_bytes,
                parent=layer,
                parent_format=None if layer is None else format_of(layer),
                key_id=None if key is None else key.id,
            )
            stack.enter_context(self._pins.hold(plan.key_id))
            passphrase = None if key is None else key.passphrase
            upload = await self._threads.run(Upload.create, self._directory, snapshot_id, plan, passphrase)
            self._writings[snapshot_id] = _Writing(upload, stack.pop_all())

    async def write(self, snapshot_id: str, index: int, data: bytes, *, digest: bytes) -> None:
        """Write a block: see the port."""
        writing = self._writing(snapshot_id)
        if writing.is_sealed:
            raise NoSuchUpload(snapshot_id)
        writing.writers += 1
        # From here on `complete` and `cancel` wait for this call.
        try:
            with tools.full_disk_named():
                self._require_space()
                if writing.upload.is_locked and writing.upload.plan.key_id is not None:
                    key = await self._chains.opened(writing.upload.plan.key_id)
                    await self._threads.run(writing.upload.unlock, key.passphrase)
                await self._threads.run(writing.upload.write, index, data, digest)
        finally:
            writing.writers -= 1
            await writing.left()

    async def written(self, snapshot_id: str) -> WrittenBlocks:
        """Tell what was written: see the port."""
        return await self._threads.run(self._writing(snapshot_id).upload.written)

    async def complete(self, snapshot_id: str) -> None:
        """Make an upload a snapshot: see the port."""
        if self._snapshots.get(snapshot_id) is not None:
            await self.cancel(snapshot_id)
            return
        writing = self._writing(snapshot_id)
        async with writing.ending:
            if self._snapshots.get(snapshot_id) is not None:
                return  # by somebody else, meanwhile
            self._writing(snapshot_id)
            await self._settle(writing)
            try:
                with tools.full_disk_named():
                    await self._adopt(snapshot_id, writing.upload)
            except BaseException:
                writing.is_sealed = False
                raise
            await self._forget(snapshot_id)

    async def cancel(self, snapshot_id: str) -> None:
        """Forget an upload: see the port."""
        writing = self._writings.get(snapshot_id)
        if writing is not None:
            async with writing.ending:
                await self._settle(writing)
                await self._forget(snapshot_id)

    async def uploads(self) -> frozenset[str]:
        """Return all uploads: see the port."""
        return frozenset(self._writings)

    def close_idle(self, *, idle_s: float = 0) -> None:
        """Close the files of snapshots that nobody has read for that long."""
        oldest = time.monotonic() - idle_s
        for snapshot_id, reader in list(self._readers.items()):
            if not reader.users and reader.used_at <= oldest:
                del self._readers[snapshot_id]
                reader.close()

    async def _adopt(self, snapshot_id: str, upload: Upload) -> None:
        """Seal, check, move in, name."""
        await self._threads.run(upload.seal)
        # The parent is in another directory, and its clusters are not what is in question.
        key_id = upload.plan.key_id
        key = None if key_id is None else await self._chains.opened(key_id)
        file = FileBelow(path=str(upload.data), format=QCOW2, key=key)
        with opening.secrets_passed([file]) as (secrets, descriptors):
            await tools.qemu_img("check", "-q", *secrets, opening.part([file]), pass_fds=descriptors)
        name = await self._threads.run(self._layers.new_name, snapshot_id, QCOW2, key_id)
        manifest = SnapshotManifest(layer=name, size_bytes=upload.plan.size_bytes)
        with self._pins.hold(name):
            await self._threads.run(self._layers.adopt, upload.data, name)
            try:
                await self._snapshots.save(snapshot_id, manifest)
            except BaseException:
                await self._threads.run(_take_back, self._layers.path(name), upload.data)
                raise

    async def _settle(self, writing: _Writing) -> None:
        """Take no more blocks, and wait for those that are being written."""
        writing.is_sealed = True
        async with writing.quiet:
            await writing.quiet.wait_for(lambda: not writing.writers)

    async def _forget(self, snapshot_id: str) -> None:
        writing = self._writings.pop(snapshot_id, None)
        if writing is not None:
            await self._threads.run(writing.upload.remove)
            writing.pinned.close()

    def _writing(self, snapshot_id: str) -> _Writing:
        writing = self._writings.get(snapshot_id)
        if writing is None:
            raise NoSuchUpload(snapshot_id)
        return writing

    def _require_space(self) -> None:
        tools.require_space(self._directory, needed_bytes=2 * BLOCK_BYTES, reserve_bytes=self._reserve_bytes)

    @asynccontextmanager
    async def _reader(self, snapshot_id: str) -> AsyncIterator[ChainReader]:
        manifest = self._snapshots.require(snapshot_id)
        reader = self._readers.get(snapshot_id) or await self._opened(snapshot_id, manifest)
        reader.users += 1
        try:
            yield reader
        finally:
            reader.users -= 1
            reader.used_at = time.monotonic()
            self._close_surplus()

    async def _opened(self, snapshot_id: str, manifest: SnapshotManifest) -> ChainReader:
        lock = self._opening.setdefault(snapshot_id, asyncio.Lock())
        try:
            async with lock:
                known = self._readers.get(snapshot_id)
                if known is not None:
                    return known
                with self._pins.hold(manifest.layer):
                    reader = await self._read_chain(manifest)
                self._readers[snapshot_id] = reader
        finally:
            self._opening.pop(snapshot_id, None)
        self._close_later()
        return reader

    async def _read_chain(self, manifest: SnapshotManifest) -> ChainReader:
        try:
            keys = await self._chains.keys(manifest.layer)
        except KeyUnavailable as err:
            raise BlocksUnreadable(str(err)) from err
        return await self._threads.run(self._open, manifest, keys)

    def _open(self, manifest: SnapshotManifest, keys: Mapping[str, LayerKey]) -> ChainReader:
        """Open a chain. Blocks."""
        for turn in range(_OPENINGS):
            with suppress(FileNotFoundError):
                return ChainReader.open(
                    self._layers.directory, manifest.layer, manifest.size_bytes, self._layers.backing_of, keys
                )
            time.sleep(0.01 * turn)  # what was just merged away is not named by the file that took its place
        return _gone(manifest.layer)

    def _close_later(self) -> None:
        def close() -> None:
            self._closing = None
            self.close_idle(idle_s=block_reading.IDLE_S)
            if self._readers:
                self._close_later()

        if self._closing is None:
            self._closing = asyncio.get_running_loop().call_later(block_reading.IDLE_S, close)

    def _close_surplus(self) -> None:
        """Close what was not read for the longest time, where more is open than anybody reads at a time."""
        idle = sorted((reader.used_at, it) for it, reader in self._readers.items() if not reader.users)
        for _used_at, snapshot_id in idle[: max(0, len(self._readers) - _MOST_OPEN)]:
            self._readers.pop(snapshot_id).close()

    def _resume(self) -> None:
        """Take up what an earlier server left: uploads go on, those that cannot are removed."""
        for journal in list(self._directory.glob("*" + JOURNAL_SUFFIX)):
            snapshot_id = journal.name.removesuffix(JOURNAL_SUFFIX)
            data = journal.with_name(snapshot_id + block_writing.DATA_SUFFIX)
            if self._snapshots.get(snapshot_id) is not None:
                block_writing.remove_files(data, journal)
                continue
            unnamed = sorted(self._layers.directory.glob(f"{snapshot_id}.*.{QCOW2}"))
            if unnamed and not data.exists():
                _take_back(unnamed[-1], data)
            with suppress(FileNotFoundError):
                data.chmod(TOP_MODE)  # it was frozen to be moved, and only root would open it to write
            try:
                upload = Upload.resume(self._directory, snapshot_id)
            except Lost:
                block_writing.remove_files(data, journal)
                continue
            pinned = ExitStack()
            pinned.enter_context(self._pins.hold(upload.plan.parent, upload.plan.key_id))
            self._writings[snapshot_id] = _Writing(upload, pinned)
        for data in self._directory.iterdir():
            if data.stem not in self._writings:
                data.unlink()


def _take_back(layer: Path, data: Path) -> None:
    """Make a layer that no manifest names an upload's file again. Blocks."""
    layer.chmod(TOP_MODE)
    layer.rename(data)


def _gone(layer: str) -> NoReturn:
    raise FileNotFoundError(f"a layer below {layer} is not there")
