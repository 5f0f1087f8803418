"""Merging a run of layers into one, beside everything else that goes on.

The story, for a run of layers U (the uppermost) to D, over B:

1. A new file is made over U and everything in which U differs from B is copied into it; then it is over B. It is
   pinned, and a leftover after a crash: nothing names it.
2. Its structure is checked, it is frozen and brought to disk, and its checksum is noted beside U's.
3. It is renamed to U. **From here on, everything above U has the shorter chain**: no header and no manifest changes,
   since they all name U, which reads the same as before.
4. What lay between U and B stays for a while, for whoever has begun to open the chain by its former file of U; then a
   sweep removes what nobody else needs.

A machine that runs has the former files open, and goes on with them until it is made to open its chain anew
(`live.py`), or ends. Source of the numbers and of what was decided against: docs/decisions/0005.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from bakehouse.drivers import process
from bakehouse.drivers.volumes.qcow2 import opening, tools
from bakehouse.drivers.volumes.qcow2.block_maps import open_layer
from bakehouse.drivers.volumes.qcow2.checksums import Checksums, LayerSum
from bakehouse.drivers.volumes.qcow2.layers import QCOW2, data_key_of, format_of
from bakehouse.drivers.volumes.qcow2.reading import sum_up
from bakehouse.drivers.volumes.qcow2.run_choice import Run
from bakehouse.drivers.volumes.qcow2.stock import Stock
from bakehouse.drivers.volumes.qcow2.tables import Plan, create_encrypted, name_parent
from bakehouse.ports.volumes import FileBelow, LayerKey

#: What a new layer's name begins with, until it takes the place of another.
STEM: Final = "merge"

#: QEMU opens a chain of 16 in some 10 ms. On a host that is a thousand times slower it finds its files all the same.
LINGER_S: Final = 60.0


class MergeFailed(Exception):
    """A run could not be merged. Nothing changed."""


class Lingering:
    """Names of layers that were merged into others a short time ago."""

    def __init__(self, linger_s: float = LINGER_S, now: Callable[[], float] = time.monotonic) -> None:
        self._linger_s = linger_s
        self._now = now
        self._until: dict[str, float] = {}

    def add(self, names: Collection[str]) -> None:
        """Keep these for a while from now."""
        self._until |= dict.fromkeys(names, self._now() + self._linger_s)

    def __iter__(self) -> Iterator[str]:
        """Yield the names of those that must stay."""
        now = self._now()
        self._until = {name: until for name, until in self._until.items() if until > now}
        return iter(list(self._until))


class Merger:
    """Merges runs. The caller merges one at a time."""

    def __init__(self, stock: Stock, checksums: Checksums) -> None:
        self._layers = stock.layers
        self._opening = stock.opening
        self._pins = stock.pins
        self._threads = stock.threads
        self._reserve_bytes = stock.reserve_bytes
        self._checksums = checksums
        self.lingering = Lingering()

    async def merge(self, run: Run) -> None:
        """Put one layer in the place of the run's uppermost: see the module. May take as long as copying its data does.

        Raises:
            StorageFull: Nothing changed.
            MergeFailed: Nothing changed.
            KeyUnavailable: Nothing changed.
        """
        directory = self._layers.directory
        # Under the name of the uppermost it is opened with that one's key.
        name = await self._threads.run(self._layers.new_name, STEM, QCOW2, data_key_of(run.upper))
        with tools.full_disk_named(), self._pins.hold(name, run.upper):
            tools.require_space(directory, needed_bytes=run.cost_bytes, reserve_bytes=self._reserve_bytes)
            try:
                await self._copy(run, name)
                await self._settle(run, name)
            except process.ProcessFailed as err:
                if tools.says_no_space(err.stderr):
                    raise
                raise MergeFailed(f"{run.upper} could not be merged with what is below it: {err}") from err
            finally:
                # Renamed by now if all went well.
                await self._threads.run(self._layers.discard, [name])

    async def _copy(self, run: Run, name: str) -> None:
        directory = self._layers.directory
        size = await self._threads.run(self._layers.virtual_size, run.upper)
        below = () if run.below is None else ("-F", format_of(run.below))
        files = await self._opening.files(run.names)
        if files[0].key is not None:
            await self._copy_encrypted(run, name, size, files, files[0].key)
            return
        over = ("-u", "-b", run.upper, "-F", format_of(run.upper))
        await tools.patient_qemu_img("create", "-q", "-f", QCOW2, *over, name, str(size), cwd=directory)
        # What reads as zeroes becomes a hole again: rebase itself would write zeroes out.
        image = f"driver={QCOW2},file.driver=file,file.filename={name},discard=unmap,detect-zeroes=unmap"
        await tools.patient_qemu_img(
            "rebase", "-q", "-b", run.below or "", *below, "--image-opts", image, cwd=directory
        )
        await tools.patient_qemu_img("check", "-q", "-f", QCOW2, name, cwd=directory)

    async def _copy_encrypted(self, run: Run, name: str, size: int, files: Sequence[FileBelow], key: LayerKey) -> None:
        """Do the same with every file named to QEMU, and its key, and so that nothing of the run is left to B.

        Whoever has described the chain before opens the new file above the former ones of the run (`opening.py`). So
        what the run has is in it even where B reads the same: as zeros first, over which the data is copied.
        """
        directory, path = self._layers.directory, self._layers.path(name)
        written = await self._threads.run(_written, files)
        # In parts, as the tops that it comes of: of a cluster they may hold only some.
        plan = Plan(size_bytes=size, parent=None, parent_format=None, key_id=key.id, in_parts=True)
        await self._threads.run(create_encrypted, path, plan, key.passphrase, written)
        made = FileBelow(path=str(path), format=QCOW2, key=key)
        with opening.secrets_passed(files) as (secrets, descriptors):
            await tools.patient_qemu_img(
                *("convert", "-q", "-n", "--target-is-zero", *secrets),
                *("--target-image-opts", opening.part(files), tools.target_options(str(path), key.id)),
                cwd=directory,
                pass_fds=descriptors,
            )
            if run.below is not None:
                await self._threads.run(name_parent, path, run.below, format_of(run.below))
            await tools.patient_qemu_img(
                "check", "-q", *secrets, opening.part([made]), cwd=directory, pass_fds=descriptors
            )

    async def _settle(self, run: Run, name: str) -> None:
        await self._threads.run(self._layers.freeze, name)
        digest = await sum_up(self._layers.path(name), self._threads)
        former = await self._threads.run(self._checksums.get, run.upper)
        if former is not None:
            both = LayerSum(blake2b=former.blake2b, next_blake2b=digest)
            await self._threads.run(self._checksums.put, run.upper, both)
        self.lingering.add(run.names)
        await self._threads.run(self._layers.replace, run.upper, name)
        with suppress(OSError):  # Made anew when it is missing.
            await self._threads.run(self._checksums.put, run.upper, LayerSum(blake2b=digest))


def _written(files: Sequence[FileBelow]) -> list[tuple[int, int]]:
    """Return what layers have, zeros too, as first byte and byte behind the last. Blocks."""
    found = []
    for file in files:
        layer = open_layer(Path(file.path), None if file.key is None else file.key.passphrase)
        try:
            found += [(start, end) for start, end, _ in layer.extents()]
        finally:
            layer.close()
    return found
