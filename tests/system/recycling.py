"""What the tests of the Recycle Bin share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from tests.server import RunningServer

from bakehouse.store.records import Record

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


class Account:
    """One account's clients, and what it has."""

    def __init__(self, running: RunningServer, name: str, region: str = "us-east-1") -> None:
        self.running = running
        self.name = name
        self.account_id = running.access_key(name).account_id
        self.ec2: EC2Client = running.ec2(name, region)
        self.rbin: Any = running.client("rbin", name, region)

    def rule(self, resource_type: str = "EBS_SNAPSHOT", days: int = 7, **members: Any) -> dict[str, Any]:
        """Make a retention rule and return the answer."""
        period = {"RetentionPeriodValue": days, "RetentionPeriodUnit": "DAYS"}
        return dict(self.rbin.create_rule(ResourceType=resource_type, RetentionPeriod=period, **members))

    def volume(self, **tags: str) -> str:
        specifications: Any = [
            {"ResourceType": "volume", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        ]
        return self.ec2.create_volume(
            AvailabilityZone=f"{self.ec2.meta.region_name}a", Size=1, TagSpecifications=specifications if tags else []
        )["VolumeId"]

    def snapshot(self, **tags: str) -> str:
        """Return a completed snapshot of a volume of its own."""
        specifications: Any = [
            {"ResourceType": "snapshot", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        ]
        return self.ec2.create_snapshot(VolumeId=self.volume(), TagSpecifications=specifications if tags else [])[
            "SnapshotId"
        ]

    def image(self, name: str = "web") -> tuple[str, str]:
        """Return an image and its snapshot."""
        snapshot_id = self.snapshot()
        devices: Any = [{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot_id}}]
        image = self.ec2.register_image(
            Name=name, RootDeviceName="/dev/sda1", BlockDeviceMappings=devices, Architecture="x86_64"
        )
        return image["ImageId"], snapshot_id

    def binned_snapshots(self) -> list[str]:
        return [it["SnapshotId"] for it in self.ec2.list_snapshots_in_recycle_bin()["Snapshots"]]

    def change(self, record: Record) -> None:
        """Write a record below the API."""

        async def write() -> None:
            async with self.running.server.context.store.transaction() as tx:
                tx.put(record)

        self.running.call(write())

    def delete_due_after(self, days: int) -> None:
        """Let what is in every bin have been there for some days more, and delete what is due then."""
        store = self.running.server.context.store
        for recycled in list(store.recycle_bin):
            if recycled.account_id == self.account_id:
                self.change(replace(recycled, exits_at=recycled.exits_at - timedelta(days=days)))
        self.running.call(self.running.server.app.recycle_bin.delete_due())


@contextmanager
def refused_by_service(code: str, reason: str, *, status: int) -> Iterator[None]:
    """Assert that the block is refused with this error of the Recycle Bin service."""
    with pytest.raises(ClientError) as error:
        yield
    response: Any = error.value.response
    assert (response["Error"]["Code"], response.get("Reason"), response["ResponseMetadata"]["HTTPStatusCode"]) == (
        code,
        reason,
        status,
    )
