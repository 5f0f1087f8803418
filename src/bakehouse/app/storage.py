"""The host's storage, for whoever owns the host: what it costs, and whether it is whole."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from bakehouse.app.context import AppContext
from bakehouse.domain.errors import Ec2Error, not_found
from bakehouse.domain.storage_usage import StorageUsage, storage_usage
from bakehouse.ports.snapshot_archive import ArchiveDamaged, NoSuchArchive
from bakehouse.ports.storage_upkeep import CheckReport, Finding, NotFlattened, Severity
from bakehouse.ports.volumes import NoSuchVolume, StorageFull, VolumeInUse
from bakehouse.sagas.unrecorded import Unrecorded, delete_all, unrecorded, without_bytes

#: An import's record follows its bytes within milliseconds.
_SECOND_LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageCheck:
    """What a check of the storage looked at and found."""

    layers: int
    bytes_read: int
    in_use: tuple[str, ...]
    first_sums: int
    findings: tuple[Finding, ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong, or everything has been repaired."""
        return all(finding.repaired for finding in self.findings)


class Storage:
    """Use cases on the storage of the whole host; no account's view."""

    def __init__(self, context: AppContext) -> None:
        """Hold these records against this volume store."""
        self._context = context

    async def usage(self) -> StorageUsage:
        """Say what each image, snapshot and volume takes on the host's disk."""
        layout = await self._context.volumes.upkeep.layout()
        return storage_usage(
            layout.layers,
            volumes=layout.volumes,
            snapshots=layout.snapshots,
            images={image.id: image.snapshot_ids for image in self._context.store.images},
            archived=await self._context.archive.sizes(),
            unneeded_bytes=sum(layout.unneeded.values()),
        )

    async def flatten(self, volume_id: str) -> int:
        """Copy a volume's data into one file, in order; return through how many files it is read then.

        Refuses a volume that is not there (InvalidVolume.NotFound), and what the host has no room for.
        """
        if volume_id not in self._context.store.volumes:
            raise not_found("volume", [volume_id])
        try:
            return await self._context.volumes.upkeep.flatten(volume_id)
        except NoSuchVolume as err:
            raise not_found("volume", [volume_id]) from err
        except StorageFull as err:
            raise Ec2Error("InsufficientVolumeCapacity", f"The host has no room for it: {err}") from err
        except NotFlattened as err:
            raise Ec2Error("IncorrectState", f"It stays as it is: {err}") from err

    async def check(self, *, repair: bool, progress: Callable[[float], None] | None = None) -> StorageCheck:
        """Verify everything that is stored, and hold it against the records.

        With `repair`, what nobody wants is removed and what can be put right without touching anybody's data is.
        """
        report = await self._context.volumes.upkeep.check(repair=repair, progress=progress)
        owners = [*await self._unrecorded(repair=repair), *await self._without_bytes()]
        return _joined(report, [*owners, *await self._archived()])

    async def _archived(self) -> list[Finding]:
        """Verify the copies in the archive of those snapshots that are to be there."""
        findings = []
        for snapshot_id in sorted(self._archived_ids()):
            try:
                await self._context.archive.verify(snapshot_id)
            except (NoSuchArchive, ArchiveDamaged, OSError) as err:
                if snapshot_id in self._archived_ids():  # still, and not restored or deleted while it was read
                    state = "is not there" if isinstance(err, NoSuchArchive) else f"cannot be read: {err}"
                    problem = f"it is archived, and its copy {state}"
                    affects = (snapshot_id,)
                    findings.append(
                        Finding(subject=snapshot_id, severity=Severity.LOST, problem=problem, affects=affects)
                    )
        return findings

    def _archived_ids(self) -> set[str]:
        store = self._context.store
        recycled = (it.snapshot for it in store.recycle_bin if it.snapshot is not None)
        return {snapshot.id for snapshot in (*store.snapshots, *recycled) if snapshot.is_archived}

    async def _unrecorded(self, *, repair: bool) -> list[Finding]:
        found = await self._look()
        if found.ids:
            await asyncio.sleep(_SECOND_LOOK_S)
            found &= await self._look()
        removed = False
        if repair and found.ids:
            try:
                await delete_all(found, self._context.volumes)
                removed = True
            except VolumeInUse:
                removed = False
        problem = "it has bytes, and no record owns it"
        return [Finding(subject=it, severity=Severity.WRONG, problem=problem, repaired=removed) for it in found.ids]

    async def _look(self) -> Unrecorded:
        return unrecorded(self._context.store, await self._context.volumes.inventory())

    async def _without_bytes(self) -> Iterable[Finding]:
        lost = without_bytes(self._context.store, await self._context.volumes.inventory())
        problem = "it has a record, and no bytes"
        return [Finding(subject=it, severity=Severity.LOST, problem=problem, affects=(it,)) for it in lost]


def _joined(report: CheckReport, more: Iterable[Finding]) -> StorageCheck:
    return StorageCheck(
        layers=report.layers,
        bytes_read=report.bytes_read,
        in_use=report.in_use,
        first_sums=report.first_sums,
        findings=(*report.findings, *more),
    )
