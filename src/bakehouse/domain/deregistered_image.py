"""What stays known of an image that was deregistered: for the instances and images that came of it."""

from dataclasses import dataclass, replace
from datetime import datetime

from bakehouse.domain.image import Image, ImageState


@dataclass(frozen=True, slots=True, kw_only=True)
class DeregisteredImage:
    """An image as it was, without its tags and disks. `id`, `account_id` and `region` are the image's."""

    id: str
    account_id: str
    region: str
    image: Image
    deregistered_at: datetime


def deregistered(image: Image, now: datetime) -> DeregisteredImage:
    """Return what is to be kept of an image."""
    rest = replace(image, state=ImageState.DEREGISTERED, description="", block_devices=(), tags={})
    return DeregisteredImage(
        id=image.id, account_id=image.account_id, region=image.region, image=rest, deregistered_at=now
    )
