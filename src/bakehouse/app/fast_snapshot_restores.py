"""Fast snapshot restores, which accounts enable and disable for snapshots in zones."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from bakehouse.app.context import AppContext
from bakehouse.app.public_access import may_read
from bakehouse.app.snapshots import completed_snapshot
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error, incorrect_state, invalid_value
from bakehouse.domain.fast_snapshot_restore import FastSnapshotRestore
from bakehouse.domain.region import zones
from bakehouse.domain.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class RestoresChange:
    """What became of a request: (snapshot id, restore) for each that was changed, (snapshot id, zone, why not) else."""

    changed: list[tuple[str, FastSnapshotRestore]]
    refused: list[tuple[str, str, Ec2Error]]


class FastSnapshotRestores:
    """Use cases on fast snapshot restores."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def enable(self, caller: Caller, snapshot_ids: Iterable[str], wanted: Iterable[str]) -> RestoresChange:
        """Enable them for snapshots in zones; where they are, nothing changes.

        A snapshot that the caller may not read, or that is not complete, is told as refused, zone by zone. A zone that
        the region has not is refused altogether: InvalidParameterValue.
        """
        now = self._context.now()

        def enabled(snapshot: Snapshot, zone: str) -> tuple[Snapshot, FastSnapshotRestore]:
            known = _find(snapshot, caller.account_id, zone)
            restore = known or FastSnapshotRestore(account_id=caller.account_id, zone=zone, enabled_at=now)
            others = tuple(it for it in snapshot.fast_restores if it != known)
            return replace(snapshot, fast_restores=(*others, restore)), restore

        return await self._change(caller, snapshot_ids, wanted, enabled)

    async def disable(self, caller: Caller, snapshot_ids: Iterable[str], wanted: Iterable[str]) -> RestoresChange:
        """Disable them for snapshots in zones; refuses as `enable` does, and where they are not enabled."""

        def disabled(snapshot: Snapshot, zone: str) -> tuple[Snapshot, FastSnapshotRestore]:
            known = _find(snapshot, caller.account_id, zone)
            if known is None:
                raise incorrect_state(f"Fast snapshot restores are not enabled for '{snapshot.id}' in '{zone}'")
            rest = tuple(it for it in snapshot.fast_restores if it != known)
            return replace(snapshot, fast_restores=rest), known

        return await self._change(caller, snapshot_ids, wanted, disabled)

    def describe(self, caller: Caller) -> list[tuple[Snapshot, FastSnapshotRestore]]:
        """Return what the caller has enabled, of snapshots that it may still read, and what is enabled for its own."""
        snapshots = self._context.store.snapshots.by("region")[caller.region].values()
        return [
            (snapshot, restore)
            for snapshot in snapshots
            if snapshot.fast_restores and may_read(self._context, caller.account_id, snapshot)
            for restore in snapshot.fast_restores
            if caller.account_id in (snapshot.account_id, restore.account_id)
        ]

    async def _change(
        self,
        caller: Caller,
        snapshot_ids: Iterable[str],
        wanted: Iterable[str],
        change: Callable[[Snapshot, str], tuple[Snapshot, FastSnapshotRestore]],
    ) -> RestoresChange:
        known, wanted = zones(caller.region), list(dict.fromkeys(wanted))
        for zone in wanted:
            if zone not in known:
                raise invalid_value(zone, "availabilityZone")
        result = RestoresChange([], [])
        async with self._context.store.transaction() as tx:
            for snapshot_id in dict.fromkeys(snapshot_ids):
                for zone in wanted:
                    try:
                        snapshot = completed_snapshot(self._context, caller, snapshot_id)
                        changed, restore = change(snapshot, zone)
                    except Ec2Error as refusal:
                        result.refused.append((snapshot_id, zone, refusal))
                    else:
                        tx.put(changed)
                        result.changed.append((snapshot_id, restore))
        return result


def _find(snapshot: Snapshot, account_id: str, zone: str) -> FastSnapshotRestore | None:
    mine = (it for it in snapshot.fast_restores if (it.account_id, it.zone) == (account_id, zone))
    return next(mine, None)
