"""boto3's resources, waiters and paginators: `boto3_flow.py IMAGE KEY_NAME GROUP`.

What it needs to know is in the environment, as `bakehouse env` prints it. It prints the instance's public address and
waits for its standard input to end, then goes on and cleans up.
"""

import sys
from typing import Any

import boto3

#: The waiters' own pauses are for a service that takes its time.
SOON: Any = {"WaiterConfig": {"Delay": 1, "MaxAttempts": 120}}


def launch(ec2: Any, image_id: str, key_name: str, group: str) -> Any:
    """Launch an instance, and find it by its tag."""
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "by boto3"}]}]
    (instance,) = ec2.create_instances(
        ImageId=image_id,
        InstanceType="t2.nano",
        KeyName=key_name,
        MaxCount=1,
        MinCount=1,
        SecurityGroups=[group],
        TagSpecifications=tags,
    )
    instance.wait_until_running(**SOON)
    instance.reload()
    wanted = [{"Name": "tag:Name", "Values": ["by boto3"]}, {"Name": "instance-state-name", "Values": ["running"]}]
    assert [found.id for found in ec2.instances.filter(Filters=wanted)] == [instance.id]
    return instance


def keep(ec2: Any, instance: Any) -> None:
    """Give it a volume, take a snapshot of that, make an image of the instance; remove all of it."""
    volume = ec2.create_volume(AvailabilityZone=instance.placement["AvailabilityZone"], Size=1, VolumeType="gp3")
    client = ec2.meta.client
    client.get_waiter("volume_available").wait(VolumeIds=[volume.id], **SOON)
    volume.attach_to_instance(InstanceId=instance.id, Device="/dev/sdf")
    client.get_waiter("volume_in_use").wait(VolumeIds=[volume.id], **SOON)
    snapshot = volume.create_snapshot(Description="by boto3")
    snapshot.wait_until_completed(**SOON)
    volume.detach_from_instance(InstanceId=instance.id)
    client.get_waiter("volume_available").wait(VolumeIds=[volume.id], **SOON)
    volume.delete()
    snapshot.delete()
    image = instance.create_image(Name="by-boto3", NoReboot=True)
    client.get_waiter("image_available").wait(ImageIds=[image.id], **SOON)
    mappings = image.block_device_mappings
    image.deregister()
    for mapping in mappings:
        ec2.Snapshot(mapping["Ebs"]["SnapshotId"]).delete()


def main(image_id: str, key_name: str, group: str) -> None:
    """Run it all."""
    ec2: Any = boto3.resource("ec2")
    assert boto3.client("sts").get_caller_identity()["Account"]
    instance = launch(ec2, image_id, key_name, group)
    print(instance.public_ip_address, flush=True)  # noqa: T201 - for the test
    sys.stdin.read()
    keep(ec2, instance)
    pages = ec2.meta.client.get_paginator("describe_instance_types").paginate(PaginationConfig={"PageSize": 50})
    assert len({kind["InstanceType"] for page in pages for kind in page["InstanceTypes"]}) > len(list(pages))
    instance.stop(Force=True)
    instance.wait_until_stopped(**SOON)
    instance.terminate()
    instance.wait_until_terminated(**SOON)


if __name__ == "__main__":
    main(*sys.argv[1:])
