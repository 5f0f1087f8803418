"""Changes of a volume's size, type and figures, and when they are refused."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_parameter
from bakehouse.domain.speed_limits import SpeedLimits

#: Source: EC2 API Reference, ModifyVolume: "up to four times within a rolling 24-hour period".
MOST_IN_WINDOW: Final = 4
WINDOW: Final = timedelta(hours=24)

#: Types that no instance boots from. Source: EBS User Guide, "Amazon EBS volume types": boot volume not supported.
NO_BOOT_TYPES: Final = frozenset({"sc1", "st1"})


class ModificationState(StrEnum):
    """Source: EC2 API Reference, VolumeModificationState."""

    MODIFYING = "modifying"
    OPTIMIZING = "optimizing"
    """The volume is what was asked for; its machine sees the new size when it is started again."""
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def has_ended(self) -> bool:
        """Whether the volume may be modified again."""
        return self in (ModificationState.COMPLETED, ModificationState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeFigures:
    """What of a volume can be modified. Size in GiB, throughput in MiB/s."""

    size_gib: int
    type: str
    iops: int | None
    throughput_mibps: int | None
    limits: SpeedLimits = SpeedLimits()
    """What of these figures was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeModification:
    """The latest modification of a volume."""

    original: VolumeFigures
    target: VolumeFigures
    started_at: datetime
    state: ModificationState = ModificationState.MODIFYING
    ended_at: datetime | None = None
    message: str = ""
    earlier: tuple[datetime, ...] = ()
    """When those before it began, as far as they count."""

    @property
    def progress(self) -> int:
        """From 0 to 100: the bytes of a volume are never moved, so it is all or nothing."""
        return 0 if self.state is ModificationState.MODIFYING else 99 if self.ended_at is None else 100


def starts_that_count(volume_id: str, modification: VolumeModification | None, now: datetime) -> tuple[datetime, ...]:
    """Return when a volume's modifications of the last day began; refuse one too many, or one under way."""
    if modification is None:
        return ()
    if not modification.state.has_ended:
        raise still_modifying(volume_id, modification.state)
    counting = tuple(begun for begun in _starts(modification) if begun > now - WINDOW)
    if len(counting) >= MOST_IN_WINDOW:
        raise modified_too_often(min(counting) + WINDOW)
    return counting


def _starts(modification: VolumeModification) -> Iterable[datetime]:
    return (*modification.earlier, modification.started_at)


def still_modifying(volume_id: str, state: ModificationState) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, IncorrectModificationState; wording as AWS answers it."""
    return Ec2Error(
        "IncorrectModificationState",
        f"Volume {volume_id} cannot be modified in modification state {state.upper()}",
    )


def modified_too_often(next_at: datetime) -> Ec2Error:
    """Source: EC2 API Reference, ModifyVolume, of the limit; the code as AWS answers it."""
    return Ec2Error(
        "VolumeModificationRateExceeded",
        "You've reached the maximum modification rate per volume limit. The next modification can be made at "
        f"{next_at:%Y-%m-%dT%H:%M:%SZ}.",
    )


def volume_never_shrinks() -> Ec2Error:
    """Source: EC2 API Reference, ModifyVolume, Size; wording as AWS answers it."""
    return invalid_parameter("New size cannot be smaller than existing size")


def not_a_boot_type(volume_type: str) -> Ec2Error:
    """Source: EBS User Guide, "Amazon EBS volume types": boot volume not supported."""
    return invalid_parameter(f"A {volume_type} volume cannot be a root volume.")


def modification_not_found(volume_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidVolumeModification.NotFound (DescribeVolumesModifications)."""
    return Ec2Error("InvalidVolumeModification.NotFound", f"Modification for volume '{volume_id}' does not exist.")
