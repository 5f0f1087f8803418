"""Store tasks: an image with its snapshots on its way to one object in a bucket."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from bakehouse.domain.errors import Ec2Error

#: The largest image that is stored, in GiB. Source: EC2 User Guide, "Store and restore an AMI using S3", limitations.
STORE_MAX_GIB: Final = 5_000

#: Source: EC2 API Reference, S3ObjectTag; Amazon S3 User Guide, object tags: up to 10 of them.
OBJECT_TAGS_MAX: Final = 10
OBJECT_TAG_KEY_MAX: Final = 128
OBJECT_TAG_VALUE_MAX: Final = 256


class StoreTaskState(StrEnum):
    """Source: EC2 API Reference, DescribeStoreImageTasks."""

    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreImageTask:
    """An image to be written as one object."""

    id: str
    """Never shown: EC2 names these tasks by their images."""
    account_id: str
    region: str
    image_id: str
    bucket: str
    path: str
    """What the object's key begins with, without slashes at its ends; or nothing."""
    started_at: datetime
    state: StoreTaskState = StoreTaskState.IN_PROGRESS
    failure_reason: str | None = None
    has_place: bool = False
    """Whether it was seen that no object is in the way: what is there since is the task's own."""
    ended_at: datetime | None = None
    object_tags: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The object's key. Source: EC2 User Guide, "How AMI store and restore works"."""
        name = f"{self.image_id}.bin"
        return f"{self.path}/{name}" if self.path else name


def store_under_way(image_id: str, bucket: str) -> Ec2Error:
    """Source: EC2 User Guide, "Store and restore an AMI", limitations: one copy of an AMI in a bucket."""
    return Ec2Error("InvalidRequest", f"The image {image_id} is being stored in the bucket '{bucket}' already")


def object_unusable(bucket: str, key: str, reason: str) -> Ec2Error:
    """Refuse an object that cannot be restored from."""
    return Ec2Error("InvalidParameterValue", f"The object '{key}' of the bucket '{bucket}' cannot be used: {reason}")


def check_object_tags(tags: Mapping[str, str]) -> None:
    """Refuse tags that S3 would refuse: InvalidParameterValue."""
    if len(tags) > OBJECT_TAGS_MAX:
        raise Ec2Error("InvalidParameterValue", f"An object can have up to {OBJECT_TAGS_MAX} tags, not {len(tags)}.")
    for key, value in tags.items():
        if key.lower().startswith("aws:") or not 1 <= len(key) <= OBJECT_TAG_KEY_MAX:
            raise Ec2Error("InvalidParameterValue", f"'{key}' cannot be the key of an object's tag.")
        if len(value) > OBJECT_TAG_VALUE_MAX:
            raise Ec2Error("InvalidParameterValue", f"The value of the object tag '{key}' is too long.")


def restored_unencrypted() -> Ec2Error:
    """EC2 encrypts what it restores where the account encrypts by default; here that is refused, not left out."""
    return Ec2Error(
        "UnsupportedOperation",
        "Encryption by default is enabled, and images are restored unencrypted here. Disable it, restore the image and "
        "copy it encrypted.",
    )
