"""The Recycle Bin: images, snapshots and volumes that a retention rule keeps after their deletion.

When a resource leaves the bin is settled as it enters: rules that change or go later change nothing for it. In the bin
it can be listed, tagged and restored, and nothing else. Source: EBS User Guide, "Considerations for Recycle Bin".
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from bakehouse.domain.errors import Ec2Error, not_found
from bakehouse.domain.image import Image, ImageState
from bakehouse.domain.retention_rule import RetainedType, RetentionRule
from bakehouse.domain.snapshot import Snapshot, SnapshotState
from bakehouse.domain.volume import Volume, VolumeState

Recyclable = Image | Snapshot | Volume

#: What a resource in the bin is tagged with; nobody can write or remove it.
#: Source: EBS User Guide, "Considerations for Recycle Bin".
IN_BIN_TAG: Final = ("aws:recycle-bin:resource-in-bin", "true")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecycledResource:
    """An image, snapshot or volume in the bin: exactly one of the three. Its id is the resource's own."""

    id: str
    account_id: str
    region: str
    type: RetainedType
    entered_at: datetime
    exits_at: datetime
    image: Image | None = None
    snapshot: Snapshot | None = None
    volume: Volume | None = None

    @property
    def resource(self) -> Recyclable:
        """The resource as it was when it entered, and as it comes back; its tags may have changed since."""
        resource = self.image or self.snapshot or self.volume
        if resource is None:
            raise ValueError(f"{self.id} is in the bin without a resource")
        return resource

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the resource."""
        return self.resource.tags

    def tagged(self, tags: dict[str, str]) -> "RecycledResource":
        """Return it with other tags."""
        match self.resource:
            case Image() as image:
                return replace(self, image=replace(image, tags=tags))
            case Snapshot() as snapshot:
                return replace(self, snapshot=replace(snapshot, tags=tags))
            case Volume() as volume:
                return replace(self, volume=replace(volume, tags=tags))

    def is_due(self, now: datetime) -> bool:
        """Tell whether its time in the bin is over: it can be seen until it is gone, and no more restored."""
        return self.exits_at <= now


def retained_type(resource: Recyclable) -> RetainedType:
    """Return as what rules know a resource."""
    match resource:
        case Image():
            return RetainedType.IMAGE
        case Snapshot():
            return RetainedType.SNAPSHOT
        case Volume():
            return RetainedType.VOLUME


def exit_time(rules: Iterable[RetentionRule], resource: Recyclable, now: datetime) -> datetime | None:
    """Return until when the rules of a resource's type keep it if it is deleted now, or None if none keeps it.

    What never came to be is not kept: a failed image, a snapshot or volume that is not complete.
    Source: EBS User Guide, "Considerations for Recycle Bin".
    """
    if not _is_whole(resource):
        return None
    days = [rule.retention_days for rule in rules if rule.keeps(resource.tags)]
    return now + timedelta(days=max(days)) if days else None


def recycled(resource: Recyclable, *, entered_at: datetime, exits_at: datetime) -> RecycledResource:
    """Return the record of a resource that enters the bin. A volume enters it attached to nothing."""
    return RecycledResource(
        id=resource.id,
        account_id=resource.account_id,
        region=resource.region,
        type=retained_type(resource),
        entered_at=entered_at,
        exits_at=exits_at,
        image=resource if isinstance(resource, Image) else None,
        snapshot=resource if isinstance(resource, Snapshot) else None,
        volume=_free(resource) if isinstance(resource, Volume) else None,
    )


def snapshots_not_restored(image_id: str, snapshot_ids: Iterable[str]) -> Ec2Error:
    """Refuse to restore an image before its snapshots.

    Source: EBS User Guide, "Considerations for AMIs": all of its snapshots are restored first.
    """
    missing = not_found("snapshot", snapshot_ids)
    return Ec2Error(missing.code, f"{missing.message}. Restore the snapshots of '{image_id}' before the image.")


def _is_whole(resource: Recyclable) -> bool:
    match resource:
        case Image():
            return resource.state not in (ImageState.PENDING, ImageState.FAILED)
        case Snapshot():
            return resource.state is SnapshotState.COMPLETED
        case Volume():
            return resource.state in (VolumeState.AVAILABLE, VolumeState.IN_USE)


def _free(volume: Volume) -> Volume:
    return replace(volume, state=VolumeState.AVAILABLE, attachment=None)
