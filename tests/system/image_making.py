"""Making images that come of images, and sharing them."""

from typing import Any


def bake(ec2: Any, image_id: str, name: str) -> str:
    """Make an image of a new instance of an image."""
    return bake_instance(ec2, launch(ec2, image_id), name)


def bake_instance(ec2: Any, instance_id: str, name: str) -> str:
    return str(ec2.create_image(InstanceId=instance_id, Name=name, NoReboot=True)["ImageId"])


def launch(ec2: Any, image_id: str, **members: Any) -> str:
    """Launch one instance and return its id."""
    (instance,) = ec2.run_instances(ImageId=image_id, MinCount=1, MaxCount=1, **members)["Instances"]
    return str(instance["InstanceId"])


def copy(ec2: Any, image_id: str, name: str, region: str = "us-east-1") -> str:
    """Copy an image from a region to the client's."""
    return str(ec2.copy_image(SourceImageId=image_id, SourceRegion=region, Name=name)["ImageId"])


def share(ec2: Any, image_id: str, account_id: str) -> None:
    """Let another account launch an image; `all` for everybody."""
    launcher = {"Group": "all"} if account_id == "all" else {"UserId": account_id}
    ec2.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": [launcher]})


def share_storage(ec2: Any, image_id: str, account_id: str) -> None:
    """Let another account copy an image that it may launch."""
    for device in described(ec2, image_id)["BlockDeviceMappings"]:
        ec2.modify_snapshot_attribute(
            SnapshotId=device["Ebs"]["SnapshotId"], CreateVolumePermission={"Add": [{"UserId": account_id}]}
        )


def described(ec2: Any, image_id: str) -> dict[str, Any]:
    (image,) = ec2.describe_images(ImageIds=[image_id])["Images"]
    return dict(image)


def account_id(ec2: Any) -> str:
    """Return the account of a client."""
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    return str(vpc["OwnerId"])
