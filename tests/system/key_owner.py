"""An account with keys that encrypt its volumes, as boto3 sees it."""

from typing import TYPE_CHECKING, Any

from tests.server import RunningServer

from bakehouse.domain.caller import Caller

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

ZONE = "us-east-1a"


class Owner:
    """An account and its keys."""

    def __init__(self, running: RunningServer, name: str) -> None:
        self.running = running
        self.name = name
        self.ec2: EC2Client = running.ec2(name)
        self.account_id = running.access_key(name).account_id

    def key(self, alias: str | None = None) -> str:
        """Make a key and return its ARN."""
        caller = Caller(account_id=self.account_id, region="us-east-1")
        return self.running.call(self.running.server.app.keys.create(caller, alias=alias)).arn

    def default_key(self) -> str:
        return self.ec2.get_ebs_default_kms_key_id()["KmsKeyId"]

    def volume(self, **members: Any) -> Any:
        given: dict[str, Any] = {"AvailabilityZone": ZONE, **members}
        if "SnapshotId" not in members:
            given["Size"] = 1
        made = self.ec2.create_volume(**given)
        (shown,) = self.ec2.describe_volumes(VolumeIds=[made["VolumeId"]])["Volumes"]
        assert (made["Encrypted"], made.get("KmsKeyId")) == (shown["Encrypted"], shown.get("KmsKeyId"))
        return shown

    def snapshot(self, **members: Any) -> Any:
        volume = self.volume(**members)
        return self.shown(self.ec2.create_snapshot(VolumeId=volume["VolumeId"])["SnapshotId"])

    def copy(self, snapshot: Any, region: str = "us-east-1", **members: Any) -> Any:
        client = self.running.ec2(self.name, region)
        given: dict[str, Any] = {"SourceRegion": "us-east-1", "SourceSnapshotId": snapshot["SnapshotId"], **members}
        snapshot_id = client.copy_snapshot(**given)["SnapshotId"]
        client.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot_id], WaiterConfig={"Delay": 1})
        return client.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]

    def shown(self, snapshot_id: str) -> Any:
        return self.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]


def key_of(shown: Any) -> str | None:
    assert shown["Encrypted"] == ("KmsKeyId" in shown)
    key: str | None = shown.get("KmsKeyId")
    return key
