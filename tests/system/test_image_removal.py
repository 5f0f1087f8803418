"""DeregisterImage as boto3 sees it, and what becomes of the snapshots."""

from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.server import RunningServer
from tests.system.shop import Shop, refusal


def snapshots_of(shop: Shop, image_id: str) -> list[str]:
    (image,) = shop.ec2.describe_images(ImageIds=[image_id])["Images"]
    return [device["Ebs"]["SnapshotId"] for device in image["BlockDeviceMappings"]]


def registered(client: Any, name: str, *snapshot_ids: str) -> str:
    devices = [
        {"DeviceName": device, "Ebs": {"SnapshotId": snapshot_id}}
        for device, snapshot_id in zip(("/dev/sda1", "/dev/sdf", "/dev/sdg"), snapshot_ids, strict=False)
    ]
    return str(client.register_image(Name=name, BlockDeviceMappings=devices)["ImageId"])


def snapshot_ids(client: Any) -> set[str]:
    return {snapshot["SnapshotId"] for snapshot in client.describe_snapshots(OwnerIds=["self"])["Snapshots"]}


def results(answer: Any) -> dict[str, str]:
    return {result["SnapshotId"]: result["ReturnCode"] for result in answer["DeleteSnapshotResults"]}


def test_snapshots_stay_unless_more_is_asked(shop: Shop) -> None:
    before = snapshot_ids(shop.ec2)

    answer: Any = shop.ec2.deregister_image(ImageId=shop.image_id)

    assert answer["Return"] is True
    assert "DeleteSnapshotResults" not in answer
    assert snapshot_ids(shop.ec2) == before


def test_instances_outlive_their_image(shop: Shop) -> None:
    instance = shop.launch()
    shop.ec2.deregister_image(ImageId=shop.image_id, DeleteAssociatedSnapshots=True)

    shop.stop(instance["InstanceId"])
    shop.ec2.start_instances(InstanceIds=[instance["InstanceId"]])

    assert shop.describe(instance["InstanceId"])["State"]["Name"] == "running"


def test_each_snapshot_is_deleted_and_told_of_once(shop: Shop) -> None:
    (root,) = snapshots_of(shop, shop.image_id)
    volume_id = shop.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    data = shop.ec2.create_snapshot(VolumeId=volume_id)["SnapshotId"]
    image_id = registered(shop.ec2, "twice the same", root, data, data)
    shop.ec2.deregister_image(ImageId=shop.image_id)

    answer = shop.ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)

    assert [result["SnapshotId"] for result in answer["DeleteSnapshotResults"]] == [root, data]
    assert results(answer) == {root: "success", data: "success"}
    assert snapshot_ids(shop.ec2) == set()


def test_a_snapshot_that_another_image_names_is_skipped(shop: Shop) -> None:
    (root,) = snapshots_of(shop, shop.image_id)
    other_id = registered(shop.ec2, "another", root)

    first = shop.ec2.deregister_image(ImageId=shop.image_id, DeleteAssociatedSnapshots=True)
    last = shop.ec2.deregister_image(ImageId=other_id, DeleteAssociatedSnapshots=True)

    assert (results(first), results(last)) == ({root: "skipped"}, {root: "success"})


def test_a_snapshot_of_another_account_is_not_deleted_for_want_of_permission(
    shop: Shop, shared: RunningServer, request: pytest.FixtureRequest
) -> None:
    name = f"borrower of {request.node.nodeid}"
    borrower, account_id = shared.ec2(name), shared.access_key(name).account_id
    (root,) = snapshots_of(shop, shop.image_id)
    shop.ec2.modify_snapshot_attribute(SnapshotId=root, CreateVolumePermission={"Add": [{"UserId": account_id}]})
    image_id = registered(borrower, "of another's", root)

    answer = borrower.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)

    assert results(answer) == {root: "missing-permissions"}
    assert snapshot_ids(shop.ec2) == {root}


def test_a_snapshot_that_a_volume_was_made_of_is_deleted_and_the_volume_stays(shop: Shop) -> None:
    (root,) = snapshots_of(shop, shop.image_id)
    volume_id = shop.ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=root)["VolumeId"]

    shop.ec2.deregister_image(ImageId=shop.image_id, DeleteAssociatedSnapshots=True)

    (volume,) = shop.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"]
    assert (volume["State"], snapshot_ids(shop.ec2)) == ("available", set())


def test_an_image_without_snapshots_is_deregistered_with_none(shop: Shop) -> None:
    """A copy that failed has none left."""
    (root,) = snapshots_of(shop, shop.image_id)
    shop.running.call(shop.running.drivers.volumes.delete_snapshot(root))
    failed = shop.ec2.copy_image(Name="failed", SourceRegion="us-east-1", SourceImageId=shop.image_id)["ImageId"]

    answer = shop.ec2.deregister_image(ImageId=failed, DeleteAssociatedSnapshots=True)

    assert answer.get("DeleteSnapshotResults", []) == []


@pytest.mark.parametrize(
    ("image_id", "code"),
    [("ami-00000000000000000", "InvalidAMIID.NotFound"), ("nonsense", "InvalidAMIID.Malformed")],
)
def test_what_is_no_image_is_refused(shop: Shop, image_id: str, code: str) -> None:
    with pytest.raises(ClientError) as error:
        shop.ec2.deregister_image(ImageId=image_id)

    assert refusal(error) == code


def test_an_image_deregistered_twice_is_not_found(shop: Shop) -> None:
    shop.ec2.deregister_image(ImageId=shop.image_id)

    with pytest.raises(ClientError) as error:
        shop.ec2.deregister_image(ImageId=shop.image_id)

    assert refusal(error) == "InvalidAMIID.NotFound"
