"""What EC2 says when it refuses, word by word where answers of AWS are known: clients look into messages.

Sources: AWS's answers as users of clients have reported them (aws-ebs-csi-driver issue 1343, cluster-glue pull request
29, terraform issue 22172, aws-missing-tools issue 59, packer issue 4761, ansible issue 24945, aws-cli issue 1976,
aws-sdk-ruby issue 3028 and pull request 2575, kubernetes issue 69434, and the EBS CSI driver, which reads limits out of
what it is refused).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

MISSING = "0123456789abcdef0"


def refusal(operation: Callable[..., Any], **members: Any) -> tuple[str, str]:
    """Return the code and the message of a refusal."""
    with pytest.raises(ClientError) as error:
        operation(**members)
    refused: Any = error.value.response["Error"]
    return refused["Code"], refused["Message"]


@pytest.mark.parametrize(
    ("operation", "members", "code", "message"),
    [
        (
            "describe_volumes",
            {"VolumeIds": [f"vol-{MISSING}"]},
            "InvalidVolume.NotFound",
            f"The volume 'vol-{MISSING}' does not exist.",
        ),
        (
            "describe_snapshots",
            {"SnapshotIds": [f"snap-{MISSING}"]},
            "InvalidSnapshot.NotFound",
            f"The snapshot 'snap-{MISSING}' does not exist.",
        ),
        (
            "describe_instances",
            {"InstanceIds": [f"i-{MISSING}"]},
            "InvalidInstanceID.NotFound",
            f"The instance ID 'i-{MISSING}' does not exist",
        ),
        (
            "describe_images",
            {"ImageIds": [f"ami-{MISSING}"]},
            "InvalidAMIID.NotFound",
            f"The image id '[ami-{MISSING}]' does not exist",
        ),
        ("stop_instances", {"InstanceIds": ["ma1"]}, "InvalidInstanceID.Malformed", 'Invalid id: "ma1"'),
        (
            "describe_images",
            {"ImageIds": ["ubuntu"]},
            "InvalidAMIID.Malformed",
            'Invalid id: "ubuntu" (expecting "ami-...")',
        ),
        (
            "create_snapshot",
            {"VolumeId": "standard"},
            "InvalidParameterValue",
            "Value (standard) for parameter volumeId is invalid. Expected: 'vol-...'.",
        ),
        (
            "delete_snapshot",
            {"SnapshotId": "nightly"},
            "InvalidParameterValue",
            "Value (nightly) for parameter snapshotId is invalid. Expected: 'snap-...'.",
        ),
        (
            "delete_snapshot",
            {"SnapshotId": "snap-nightly"},
            "InvalidSnapshotID.Malformed",
            "Value ( snap-nightly ) for parameter SNAPSHOT is invalid.",
        ),
        (
            "create_image",
            {"InstanceId": f"i-{MISSING}", "Name": "a*b"},
            "InvalidAMIName.Malformed",
            (
                "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, "
                "'(', ')', '.', '-', '/' and '_'"
            ),
        ),
        (
            "create_volume",
            {"AvailabilityZone": "us-east-1a", "Size": 1000, "VolumeType": "gp3", "Iops": 200_000},
            "InvalidParameterValue",
            "Volume iops of 200000 is too high; maximum is 80000",
        ),
        (
            "create_volume",
            {"AvailabilityZone": "us-east-1a", "Size": 1000, "VolumeType": "gp3", "Iops": 100},
            "InvalidParameterValue",
            "Volume iops of 100 is too low; minimum is 3000",
        ),
        (
            "create_volume",
            {"AvailabilityZone": "us-east-1a", "Size": 4, "VolumeType": "io1", "Iops": 1000},
            "InvalidParameterCombination",
            "Iops to volume size ratio of 250.000000 is too high; maximum is 50.",
        ),
        (
            "create_volume",
            {"AvailabilityZone": "us-east-1a", "Size": 4, "VolumeType": "io2", "Iops": 4001},
            "InvalidParameterCombination",
            "io2 volumes configured with greater than 64 TiB or 256K IOPS or 1000:1 IOPS:GB ratio are not supported",
        ),
        (
            "import_key_pair",
            {"KeyName": "k", "PublicKeyMaterial": b"file://key.pub"},
            "InvalidKey.Format",
            "Key is not in valid OpenSSH public key format",
        ),
        (
            "describe_instances",
            {"MaxResults": 1},
            "InvalidParameterValue",
            "Value ( 1 ) for parameter maxResults is invalid. Expecting a value greater than 5.",
        ),
        (
            "describe_tags",
            {"MaxResults": 1001},
            "InvalidParameterValue",
            "Value ( 1001 ) for parameter maxResults is invalid. Expecting a value less than 1000.",
        ),
    ],
)
def test_a_refusal_is_worded_as_by_aws(
    alice: "EC2Client", operation: str, members: dict[str, Any], code: str, message: str
) -> None:
    assert refusal(getattr(alice, operation), **members) == (code, message)


@pytest.mark.parametrize(
    ("operation", "ids", "named"),
    [
        ("describe_images", "ImageIds", "imageIdsSet"),
        ("describe_instances", "InstanceIds", "instancesSet"),
        ("describe_snapshots", "SnapshotIds", "snapshotSet"),
        ("describe_volumes", "VolumeIds", "volumeSet"),
    ],
)
@pytest.mark.parametrize("size", [2, 5])  # the first is too small besides
def test_ids_and_a_size_exclude_each_other_in_the_words_of_aws(
    shop: Shop, operation: str, ids: str, named: str, size: int
) -> None:
    there = ids_there(shop)[ids]

    assert refusal(getattr(shop.ec2, operation), **{ids: [there], "MaxResults": size}) == (
        "InvalidParameterCombination",
        f"The parameter {named} cannot be used with the parameter maxResults",
    )


def ids_there(shop: Shop) -> dict[str, str]:
    (image,) = shop.ec2.describe_images(ImageIds=[shop.image_id])["Images"]
    instance = shop.launch()
    return {
        "ImageIds": shop.image_id,
        "InstanceIds": instance["InstanceId"],
        "SnapshotIds": image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"],
        "VolumeIds": instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"],
    }


def test_an_instance_that_is_gone_cannot_be_stopped_in_the_words_of_aws(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    shop.ec2.terminate_instances(InstanceIds=[instance_id])
    shop.ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 1})

    assert refusal(shop.ec2.stop_instances, InstanceIds=[instance_id]) == (
        "IncorrectInstanceState",
        f"This instance '{instance_id}' is not in a state from which it can be stopped.",
    )


def test_an_image_out_of_use_is_no_longer_available(shop: Shop) -> None:
    shop.ec2.disable_image(ImageId=shop.image_id)

    assert refusal(shop.launch) == (
        "InvalidAMIID.Unavailable",
        f"The image ID '{shop.image_id}' is no longer available",
    )


def test_a_fifty_first_tag_is_refused_in_the_words_of_aws(shop: Shop) -> None:
    tags: Any = [{"Key": f"k{number}", "Value": ""} for number in range(51)]

    assert refusal(shop.ec2.create_tags, Resources=[shop.image_id], Tags=tags) == (
        "TagLimitExceeded",
        "The resultant tag set must not have more than 50 user tags.",
    )


@pytest.mark.parametrize("operation", ["describe_instances", "describe_snapshots", "describe_volumes"])
def test_a_size_beyond_the_largest_is_taken_for_that(alice: "EC2Client", operation: str) -> None:
    """Source: EC2 API Reference of 2022, DescribeSnapshots and DescribeVolumes, MaxResults."""
    assert getattr(alice, operation)(MaxResults=5000)["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_what_is_under_the_default_key_is_shared_with_nobody_in_the_words_of_aws(shop: Shop) -> None:
    wanted: Any = {"SourceImageId": shop.image_id, "SourceRegion": "us-east-1", "Name": "encrypted", "Encrypted": True}
    image_id = shop.ec2.copy_image(**wanted)["ImageId"]
    shop.ec2.get_waiter("image_available").wait(ImageIds=[image_id], WaiterConfig={"Delay": 1})
    (image,) = shop.ec2.describe_images(ImageIds=[image_id])["Images"]
    snapshot_id = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    receivers = {"Add": [{"UserId": "111122223333"}]}

    of_snapshot = refusal(shop.ec2.modify_snapshot_attribute, SnapshotId=snapshot_id, CreateVolumePermission=receivers)
    of_image = refusal(shop.ec2.modify_image_attribute, ImageId=image_id, LaunchPermission=receivers)

    assert of_snapshot == ("OperationNotPermitted", "Encrypted snapshots with EBS default key cannot be shared")
    assert of_image == (
        "InvalidParameter",
        "Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another snapshot",
    )


def test_who_is_no_account_is_shared_with_in_no_way(shop: Shop) -> None:
    """Source: EC2 API Reference, Error codes, InvalidAMIAttributeItemValue."""
    receivers = {"Add": [{"UserId": "12"}]}
    expected = ("InvalidAMIAttributeItemValue", 'Invalid attribute item value "12" for userId item type.')

    assert refusal(shop.ec2.modify_image_attribute, ImageId=shop.image_id, LaunchPermission=receivers) == expected
    assert (
        refusal(
            shop.ec2.modify_snapshot_attribute,
            SnapshotId=ids_there(shop)["SnapshotIds"],
            CreateVolumePermission=receivers,
        )
        == expected
    )


def test_who_is_no_account_owns_nothing(alice: "EC2Client") -> None:
    """Source: EC2 API Reference, Error codes, InvalidUserID.Malformed."""
    code, _ = refusal(alice.describe_images, Owners=["12"])

    assert code == "InvalidUserID.Malformed"
