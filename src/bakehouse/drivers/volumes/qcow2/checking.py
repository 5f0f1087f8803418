"""Checking every layer: is it there, is its structure sound, does its data add up to its checksum.

Everything goes on meanwhile. So a layer is looked at as it is at that moment: one that is gone when its turn comes and
that nobody needs any more was deleted, not lost. Layers that a machine writes to are left out.
"""

import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bakehouse.drivers import process
from bakehouse.drivers.volumes.qcow2 import opening, sweeping, tools
from bakehouse.drivers.volumes.qcow2.checksums import Checksums, LayerSum, Reading
from bakehouse.drivers.volumes.qcow2.layers import FROZEN_MODE, QCOW2, LayerFile, format_of
from bakehouse.drivers.volumes.qcow2.stock import Stock
from bakehouse.ports.keys import KeyUnavailable
from bakehouse.ports.storage_upkeep import CheckReport, Finding, Severity
from bakehouse.ports.volumes import FileBelow

#: What `qemu-img check` ends with. Source: qemu-img(1), "check".
_LEAKS: Final = 3


@dataclass(slots=True)
class _Tally:
    """What one check has found so far."""

    layers: int = 0
    bytes_read: int = 0
    first_sums: int = 0
    in_use: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


class Checker:
    """Looks at every layer of a store."""

    def __init__(self, stock: Stock, checksums: Checksums, *, roots: Callable[[], set[str]]) -> None:
        """Look at a stock; `roots` tells which layers are to stay, with all below them."""
        self._stock = stock
        self._layers = stock.layers
        self._pins = stock.pins
        self._threads = stock.threads
        self._opening = stock.opening
        self._checksums = checksums
        self._roots = roots

    async def check(
        self, readers: Mapping[str, str], *, repair: bool, progress: Callable[[float], None]
    ) -> CheckReport:
        """Check all that volumes and snapshots (by id, the layer each begins with) read, and look for other files."""
        tally = _Tally()
        files = {file.name: file for file in await self._threads.run(self._layers.scan)}
        chains = {reader: _chain(files, top) for reader, top in readers.items()}
        wanted = sorted({name for chain in chains.values() for name in chain})
        for done, name in enumerate(wanted):
            progress(done / len(wanted))
            affects = tuple(sorted(reader for reader, chain in chains.items() if name in chain))
            await self._check_layer(name, affects, tally, repair=repair)
        await self._find_strays(tally, repair=repair)
        progress(1.0)
        return CheckReport(
            layers=tally.layers,
            bytes_read=tally.bytes_read,
            in_use=tuple(tally.in_use),
            first_sums=tally.first_sums,
            findings=tuple(tally.findings),
        )

    async def _check_layer(self, name: str, affects: tuple[str, ...], tally: _Tally, *, repair: bool) -> None:
        with self._pins.hold(name):
            try:
                mode = (await self._threads.run(self._layers.path(name).stat)).st_mode
            except FileNotFoundError:
                if name in await self._threads.run(self._reachable):
                    tally.findings.append(_lost(name, "it is missing", affects))
                return
            tally.layers += 1
            if await self._threads.run(self._layers.is_written, name):
                tally.in_use.append(name)
                return
            is_frozen = stat.S_IMODE(mode) == FROZEN_MODE
            if format_of(name) == QCOW2:
                await self._check_structure(name, affects, tally, repair=repair and not is_frozen)
            if is_frozen:
                await self._check_sum(name, affects, tally)

    async def _check_structure(self, name: str, affects: tuple[str, ...], tally: _Tally, *, repair: bool) -> None:
        # -U: without locks, so that a machine that starts meanwhile is not kept from its disk.
        try:
            done = await self._qemu_img_check("-U", name=name)
        except KeyUnavailable as err:
            tally.findings.append(_lost(name, f"it is encrypted, and its key is gone: {err}", affects))
            return
        if await self._threads.run(self._layers.is_written, name):
            tally.in_use.append(name)  # Since a moment ago: what was read may have been half of a change.
        elif done.returncode == _LEAKS:
            await self._note_leaks(name, affects, tally, repair=repair)
        elif done.returncode != 0:
            tally.findings.append(_lost(name, f"its structure is damaged: {_first_line(done)}", affects))

    async def _note_leaks(self, name: str, affects: tuple[str, ...], tally: _Tally, *, repair: bool) -> None:
        """Note space that nothing refers to, left by a machine that was killed: no data is concerned."""
        repaired = repair and (await self._qemu_img_check("-r", "leaks", name=name)).returncode == 0
        problem = "it takes space that it does not use"
        tally.findings.append(
            Finding(subject=name, severity=Severity.WRONG, problem=problem, affects=affects, repaired=repaired)
        )

    async def _check_sum(self, name: str, affects: tuple[str, ...], tally: _Tally) -> None:
        path = self._layers.path(name)
        while True:
            before = await self._threads.run(path.stat)
            reading = Reading(path)
            try:
                pieces = reading.pieces()
                while await self._threads.run(next, pieces, None) is not None:
                    pass
            except OSError as err:
                tally.findings.append(_lost(name, f"it cannot be read: {err.strerror}", affects))
                return
            tally.bytes_read += reading.bytes_read
            known = await self._threads.run(self._checksums.get, name)
            if (await self._threads.run(path.stat)).st_ino == before.st_ino:
                break  # Otherwise a merge has put another file in its place meanwhile.
        if known is None:
            await self._threads.run(self._checksums.put, name, LayerSum(blake2b=reading.digest()))
            tally.first_sums += 1
        elif not known.fits(reading.digest()):
            tally.findings.append(_lost(name, "its data is not what was written: its checksum differs", affects))

    async def _find_strays(self, tally: _Tally, *, repair: bool) -> None:
        files = await self._threads.run(self._layers.scan)
        strays = [f"layers/{file.name}" for file in sweeping.garbage(files, self._roots())]
        incoming = await self._threads.run(lambda: [path.name for path in self._stock.incoming.iterdir()])
        pinned = self._pins.names()
        strays += [f"incoming/{name}" for name in incoming if name not in pinned]
        for stray in sorted(strays):
            if repair:
                await self._threads.run((self._stock.root / stray).unlink, missing_ok=True)
            problem = "no volume or snapshot needs it"
            tally.findings.append(Finding(subject=stray, severity=Severity.WRONG, problem=problem, repaired=repair))

    def _reachable(self) -> set[str]:
        backing = {file.name: file.backing for file in self._layers.scan()}
        return sweeping.reachable(backing, self._stock.named())

    async def _qemu_img_check(self, *arguments: str, name: str) -> process.Completed:
        directory, key = self._layers.directory, await self._opening.key(name)
        if key is None:
            return await tools.patient_qemu_img(
                "check", "-q", "-f", QCOW2, *arguments, name, cwd=directory, check=False
            )
        file = FileBelow(path=str(self._layers.path(name)), format=QCOW2, key=key)
        with opening.secrets_passed([file]) as (secrets, descriptors):
            words = ("check", "-q", *secrets, *arguments, opening.part([file]))
            return await tools.patient_qemu_img(*words, cwd=directory, check=False, pass_fds=descriptors)


def _chain(files: Mapping[str, LayerFile], top: str) -> list[str]:
    """Return the names of a chain, including one that is named and not there."""
    chain: list[str] = []
    name: str | None = top
    while name is not None and name not in chain:
        chain.append(name)
        name = files[name].backing if name in files else None
    return chain


def _lost(subject: str, problem: str, affects: tuple[str, ...]) -> Finding:
    return Finding(subject=subject, severity=Severity.LOST, problem=problem, affects=affects)


def _first_line(done: process.Completed) -> str:
    text = (done.stderr or done.stdout).decode(errors="replace").strip()
    return text.splitlines()[0] if text else f"status {done.returncode}"
