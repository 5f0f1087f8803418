"""The spot request of a launch: made with its instance, in one transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from bakehouse.domain.ids import new_id
from bakehouse.domain.instance import Instance
from bakehouse.domain.security_group import SecurityGroup
from bakehouse.domain.spot_request import SPOT_PRICE, VALID_FOR, SpotLaunch, SpotRequest, SpotVolume
from bakehouse.domain.volume import Volume

#: A one-time spot instance cannot be stopped, by its guest neither.
#: Source: EC2 User Guide, "Manage your Spot Instances", "Stop a Spot Instance".
_SHUTDOWN_BEHAVIOR: Final = "terminate"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotWish:
    """What a launch asks for beside its instances; the price is what the requester pays at most an hour."""

    max_price: str = SPOT_PRICE
    valid_until: datetime | None = None
    tags: dict[str, str] = field(default_factory=dict)


def spot_records(
    instance: Instance, wish: SpotWish, groups: Sequence[SecurityGroup], volumes: Iterable[Volume]
) -> tuple[Instance, SpotRequest]:
    """Return a new instance as a spot instance, and its request."""
    request = SpotRequest(
        id=new_id("spot-instances-request"),
        account_id=instance.account_id,
        region=instance.region,
        instance_id=instance.id,
        created_at=instance.launched_at,
        valid_until=wish.valid_until or instance.launched_at + VALID_FOR,
        max_price=wish.max_price,
        launch=SpotLaunch(
            image_id=instance.image_id,
            instance_type=instance.type,
            availability_zone=instance.availability_zone,
            subnet_id=instance.subnet_id,
            groups=tuple((group.id, group.name) for group in groups),
            volumes=tuple(_volume(volume) for volume in volumes),
            key_name=instance.key_name,
            ebs_optimized=instance.ebs_optimized,
            monitoring=instance.monitoring,
        ),
        tags=dict(wish.tags),
    )
    return replace(instance, spot_request_id=request.id, shutdown_behavior=_SHUTDOWN_BEHAVIOR), request


def _volume(volume: Volume) -> SpotVolume:
    attachment = volume.attachment
    return SpotVolume(
        device_name=attachment.device_name if attachment else "",
        delete_on_termination=attachment is not None and attachment.delete_on_termination,
        size_gib=volume.size_gib,
        type=volume.type,
        snapshot_id=volume.snapshot_id,
    )
