"""Root volume replacement tasks: the root of a running instance that gives way to another volume."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from bakehouse.domain.errors import Ec2Error, incorrect_state, invalid_combination, invalid_parameter


class ReplaceRootState(StrEnum):
    """Source: EC2 API Reference, ReplaceRootVolumeTaskState.

    `failed-detached` never comes here: one root goes and the other comes in one change of the records, so that an
    instance is at no time without.
    """

    PENDING = "pending"
    IN_PROGRESS = "in-progress"
    FAILING = "failing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    FAILED_DETACHED = "failed-detached"


#: States in which something is still to be done.
UNDER_WAY: Final = frozenset({ReplaceRootState.PENDING, ReplaceRootState.IN_PROGRESS, ReplaceRootState.FAILING})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceRootVolumeTask:
    """One replacement. It is shown as long as its instance is."""

    id: str
    account_id: str
    region: str
    instance_id: str
    volume_id: str
    """The replacement."""
    replaced_volume_id: str
    started_at: datetime
    state: ReplaceRootState = ReplaceRootState.PENDING
    completed_at: datetime | None = None
    """When it succeeded or failed."""
    image_id: str | None = None
    """What the replacement was made from, if it was an image."""
    snapshot_id: str | None = None
    """The snapshot that the replacement was made from; None of a volume that was there before."""
    deletes_replaced: bool = False
    tags: dict[str, str] = field(default_factory=dict)


def check_one_source(**sources: str | None) -> None:
    """Refuse more than one source of a replacement. Source: EC2 API Reference, CreateReplaceRootVolumeTask."""
    given = [name for name, value in sources.items() if value is not None]
    if len(given) > 1:
        raise invalid_combination(f"Only one of these can be given: {', '.join(given)}")


def check_lineage(snapshot_volume_id: str, snapshot_id: str, instance_id: str, roots: Iterable[str]) -> None:
    """Refuse a snapshot that was not taken of the instance's present root or of an earlier one.

    Copies of such snapshots are refused, too. Source: EC2 User Guide, "Replace the root volume", requirements.
    """
    if snapshot_volume_id not in roots:
        raise invalid_parameter(
            f"The snapshot '{snapshot_id}' was not created from a current or previous root volume of instance "
            f"'{instance_id}'"
        )


def replacement_under_way(instance_id: str, task_id: str) -> Ec2Error:
    """Refuse a second replacement while the first has not ended."""
    return incorrect_state(f"The root volume of instance '{instance_id}' is being replaced by the task '{task_id}'")


def no_launch_state(volume_id: str) -> Ec2Error:
    """Refuse to go back to the snapshot of a root volume that was made from none."""
    return invalid_parameter(f"The root volume '{volume_id}' was not created from a snapshot")


def image_does_not_fit(image_id: str, instance_id: str, what: str) -> Ec2Error:
    """Source: EC2 User Guide, "Replace the root volume using an AMI": what image and instance must have in common."""
    return invalid_parameter(f"The image '{image_id}' cannot replace the root of instance '{instance_id}': {what}")
