"""An account with an image, for tests that launch instances through boto3."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from tests.server import RunningServer

from bakehouse.app.image_imports import ImportImage
from bakehouse.domain.caller import Caller

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


class Shop:
    """An account with an image, on a server that all tests here share."""

    def __init__(self, running: RunningServer, name: str, disk: Path) -> None:
        self.running = running
        self.name = name
        self.ec2: EC2Client = running.ec2(name)
        self.account_id = running.access_key(name).account_id
        order = ImportImage(path=disk, name="test")
        caller = Caller(account_id=self.account_id, region="us-east-1")
        images = running.server.app.images
        self.image_id = running.call(images.import_file(caller, order, progress=lambda _fraction: None)).id

    def launch(self, **members: Any) -> Any:
        """Launch an instance and return it as DescribeInstances shows it."""
        (instance_id,) = self.launch_ids(MinCount=1, MaxCount=1, **members)
        return self.describe(instance_id)

    def launch_ids(self, **members: Any) -> list[str]:
        reservation = self.ec2.run_instances(**{"ImageId": self.image_id, **members})
        return [instance["InstanceId"] for instance in reservation["Instances"]]

    def describe(self, instance_id: str) -> Any:
        (reservation,) = self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
        return reservation["Instances"][0]

    def found(self, *filters: tuple[str, str]) -> list[str]:
        """Return the ids of the instances that filters leave."""
        wanted: Any = [{"Name": name, "Values": [value]} for name, value in filters]
        reservations = self.ec2.describe_instances(Filters=wanted)["Reservations"]
        return [instance["InstanceId"] for reservation in reservations for instance in reservation["Instances"]]

    def attribute(self, instance_id: str, name: Any) -> Any:
        answer = self.ec2.describe_instance_attribute(InstanceId=instance_id, Attribute=name)
        return next(value for key, value in answer.items() if key not in ("InstanceId", "ResponseMetadata"))

    def stop(self, instance_id: str) -> None:
        self.ec2.stop_instances(InstanceIds=[instance_id], Force=True)
        self.ec2.get_waiter("instance_stopped").wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 1})


def refusal(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Code"]
