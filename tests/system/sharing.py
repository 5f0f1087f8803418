"""Accounts that share images with each other, and a clock that can be moved."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.server import RunningServer

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


class Clock:
    """The time that a server's use cases go by. Signatures go by the real one."""

    def __init__(self, running: RunningServer) -> None:
        self._ahead = timedelta()
        object.__setattr__(running.server.app.images._context, "now", self)  # frozen, and all use cases share it

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def advance(self, **how_far: float) -> None:
        self._ahead += timedelta(**how_far)


def account_of(ec2: "EC2Client") -> str:
    """Return the id of a client's account."""
    return ec2.describe_vpcs()["Vpcs"][0]["OwnerId"]


def share(owner: "EC2Client", image_id: str, *others: str) -> None:
    """Let accounts launch an image, or everybody: `all`."""
    added: Any = [{"Group": "all"} if other == "all" else {"UserId": other} for other in others]
    owner.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": added})


def unshare(owner: "EC2Client", image_id: str, *others: str) -> None:
    removed: Any = [{"Group": "all"} if other == "all" else {"UserId": other} for other in others]
    owner.modify_image_attribute(ImageId=image_id, LaunchPermission={"Remove": removed})


def registered(owner: "EC2Client", image_id: str, name: str) -> str:
    """Register a second image over the snapshot of one of the same owner, and return its id."""
    (image,) = owner.describe_images(ImageIds=[image_id])["Images"]
    (device,) = image["BlockDeviceMappings"]
    root: Any = {"DeviceName": device["DeviceName"], "Ebs": {"SnapshotId": device["Ebs"]["SnapshotId"]}}
    return owner.register_image(
        Name=name, Architecture="x86_64", RootDeviceName=device["DeviceName"], BlockDeviceMappings=[root]
    )["ImageId"]


def snapshot_of(owner: "EC2Client", image_id: str) -> str:
    """Return the id of the snapshot under an image."""
    (image,) = owner.describe_images(ImageIds=[image_id])["Images"]
    return image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]


def listed(ec2: "EC2Client", **members: Any) -> set[str]:
    """Return the ids of the images that a client finds."""
    return {image["ImageId"] for image in ec2.describe_images(**members)["Images"]}
