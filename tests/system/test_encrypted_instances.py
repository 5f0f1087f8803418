"""Encrypted instances, images and imports, and keys that are lost, as boto3 sees them."""

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.server import RunningServer
from tests.system.key_owner import Owner, key_of
from tests.system.shop import Shop, refusal
from tests.system.transfers import Bucket, ended_import, ended_snapshot_import, until


@pytest.fixture
def owner(shared: RunningServer, request: pytest.FixtureRequest) -> Owner:
    return Owner(shared, f"owner of {request.node.nodeid}")


@pytest.fixture
def other(shared: RunningServer, request: pytest.FixtureRequest) -> Owner:
    return Owner(shared, f"other of {request.node.nodeid}")


def volumes_of(shop: Shop, instance: Any) -> dict[str, Any]:
    """Return an instance's volumes by device name."""
    wanted: Any = [{"Name": "attachment.instance-id", "Values": [instance["InstanceId"]]}]
    volumes = shop.ec2.describe_volumes(Filters=wanted)["Volumes"]
    return {volume["Attachments"][0]["Device"]: volume for volume in volumes}


def device(name: str, **ebs: Any) -> dict[str, Any]:
    return {"DeviceName": name, "Ebs": ebs}


def test_an_instance_can_have_encrypted_volumes(shop: Shop) -> None:
    owner = Owner(shop.running, shop.name)
    key = owner.key()
    instance = shop.launch(
        BlockDeviceMappings=[
            device("/dev/xvda", Encrypted=True),
            device("/dev/sdf", VolumeSize=1, Encrypted=True, KmsKeyId=key),
            device("/dev/sdg", VolumeSize=1),
        ]
    )

    keys = {name: key_of(volume) for name, volume in volumes_of(shop, instance).items()}

    assert keys == {"/dev/xvda": owner.default_key(), "/dev/sdf": key, "/dev/sdg": None}


def test_an_image_of_an_encrypted_instance_and_its_launches_are_encrypted(shop: Shop) -> None:
    owner = Owner(shop.running, shop.name)
    key = owner.key()
    instance = shop.launch(BlockDeviceMappings=[device("/dev/xvda", Encrypted=True, KmsKeyId=key)])
    image_id = shop.ec2.create_image(InstanceId=instance["InstanceId"], Name="of it", NoReboot=True)["ImageId"]

    (image,) = shop.ec2.describe_images(ImageIds=[image_id])["Images"]
    ebs = image["BlockDeviceMappings"][0]["Ebs"]
    (launched,) = shop.launch_ids(ImageId=image_id, MinCount=1, MaxCount=1)

    assert ebs["Encrypted"] is True
    assert key_of(owner.shown(ebs["SnapshotId"])) == key
    assert key_of(volumes_of(shop, {"InstanceId": launched})["/dev/xvda"]) == key
    with pytest.raises(ClientError) as error:
        shop.launch(ImageId=image_id, BlockDeviceMappings=[device("/dev/xvda", Encrypted=False)])
    assert refusal(error) == "InvalidParameterCombination"


def test_a_copy_of_an_image_can_be_encrypted(shop: Shop) -> None:
    owner = Owner(shop.running, shop.name)
    key = owner.key()
    wanted: dict[str, Any] = {"SourceImageId": shop.image_id, "SourceRegion": "us-east-1", "Name": "encrypted"}
    image_id = shop.ec2.copy_image(**wanted, Encrypted=True, KmsKeyId=key)["ImageId"]
    shop.ec2.get_waiter("image_available").wait(ImageIds=[image_id], WaiterConfig={"Delay": 1})

    (image,) = shop.ec2.describe_images(ImageIds=[image_id])["Images"]
    ebs = image["BlockDeviceMappings"][0]["Ebs"]

    assert (ebs["Encrypted"], key_of(owner.shown(ebs["SnapshotId"]))) == (True, key)
    assert key_of(volumes_of(shop, shop.launch(ImageId=image_id))["/dev/xvda"]) == key


def test_an_image_under_the_default_key_is_shared_with_nobody(shop: Shop) -> None:
    wanted: dict[str, Any] = {"SourceImageId": shop.image_id, "SourceRegion": "us-east-1", "Name": "encrypted"}
    image_id = shop.ec2.copy_image(**wanted, Encrypted=True)["ImageId"]
    shop.ec2.get_waiter("image_available").wait(ImageIds=[image_id], WaiterConfig={"Delay": 1})

    with pytest.raises(ClientError) as error:
        shop.ec2.modify_image_attribute(
            ImageId=image_id, LaunchPermission={"Add": [{"UserId": "111122223333"}]}, Attribute="launchPermission"
        )

    assert refusal(error) == "InvalidParameter"


def test_a_replaced_root_is_encrypted_as_its_snapshot(shop: Shop) -> None:
    owner = Owner(shop.running, shop.name)
    wanted: dict[str, Any] = {"SourceImageId": shop.image_id, "SourceRegion": "us-east-1", "Name": "encrypted"}
    image_id = shop.ec2.copy_image(**wanted, Encrypted=True)["ImageId"]
    shop.ec2.get_waiter("image_available").wait(ImageIds=[image_id], WaiterConfig={"Delay": 1})
    instance = shop.launch()

    shop.ec2.create_replace_root_volume_task(InstanceId=instance["InstanceId"], ImageId=image_id)

    replaced = until(lambda: volumes_of(shop, instance).get("/dev/xvda"), lambda root: root and root["Encrypted"])
    assert key_of(replaced) == owner.default_key()


def test_a_snapshot_is_written_by_blocks_with_a_key(owner: Owner) -> None:
    ebs: Any = owner.running.client("ebs", owner.name)
    key = owner.key()

    with_key = ebs.start_snapshot(VolumeSize=1, Encrypted=True, KmsKeyArn=key)
    ebs.complete_snapshot(SnapshotId=with_key["SnapshotId"], ChangedBlocksCount=0)
    owner.ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[with_key["SnapshotId"]], WaiterConfig={"Delay": 1})
    child = ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=with_key["SnapshotId"])
    without = ebs.start_snapshot(VolumeSize=1, Encrypted=True)

    assert (with_key["KmsKeyArn"], child["KmsKeyArn"], without["KmsKeyArn"]) == (key, key, owner.default_key())
    with pytest.raises(ClientError) as error:
        ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=with_key["SnapshotId"], Encrypted=True)
    assert refusal(error) == "ValidationException"


def test_an_encrypted_snapshot_comes_back_from_the_archive_as_it_was(owner: Owner) -> None:
    key = owner.key()
    snapshot_id = owner.snapshot(Encrypted=True, KmsKeyId=key)["SnapshotId"]

    owner.ec2.modify_snapshot_tier(SnapshotId=snapshot_id, StorageTier="archive")
    until(lambda: owner.shown(snapshot_id), lambda shown: shown["StorageTier"] == "archive")
    owner.ec2.restore_snapshot_tier(SnapshotId=snapshot_id, PermanentRestore=True)
    restored = until(lambda: owner.shown(snapshot_id), lambda shown: shown["StorageTier"] == "standard")

    assert key_of(restored) == key_of(owner.volume(SnapshotId=snapshot_id)) == key


def test_an_encrypted_image_is_not_stored_where_it_would_be_plain(shop: Shop, bucket: Bucket) -> None:
    wanted: dict[str, Any] = {"SourceImageId": shop.image_id, "SourceRegion": "us-east-1", "Name": "encrypted"}
    image_id = shop.ec2.copy_image(**wanted, Encrypted=True)["ImageId"]
    shop.ec2.get_waiter("image_available").wait(ImageIds=[image_id], WaiterConfig={"Delay": 1})

    with pytest.raises(ClientError) as error:
        shop.ec2.create_store_image_task(ImageId=image_id, Bucket=bucket.name)

    assert refusal(error) == "InvalidParameterCombination"


def test_what_was_made_with_a_key_that_is_lost_is_refused(owner: Owner) -> None:
    snapshot = owner.snapshot()
    key = owner.key()
    (owner.running.home / "volume-keys" / f"{key.rpartition('/')[2]}.key").unlink()

    with pytest.raises(ClientError) as error:
        owner.volume(SnapshotId=snapshot["SnapshotId"], Encrypted=True, KmsKeyId=key)

    assert refusal(error) == "InvalidKMSKey.InvalidState"


def test_an_imported_disk_can_be_encrypted(owner: Owner, bucket: Bucket) -> None:
    key = owner.key("imports")
    container: Any = {"UserBucket": {"S3Bucket": bucket.name, "S3Key": bucket.put("disk.raw")}, "Format": "RAW"}
    begun = owner.ec2.import_snapshot(DiskContainer=container, Encrypted=True, KmsKeyId="alias/imports")

    detail: Any = ended_snapshot_import(owner.ec2, begun["ImportTaskId"])["SnapshotTaskDetail"]

    assert key_of(detail) == key_of(owner.shown(detail["SnapshotId"])) == key


def test_an_account_that_encrypts_all_imports_encrypted_images(owner: Owner, bucket: Bucket) -> None:
    owner.ec2.enable_ebs_encryption_by_default()
    container: Any = {"UserBucket": {"S3Bucket": bucket.name, "S3Key": bucket.put("disk.raw")}, "Format": "RAW"}
    begun = owner.ec2.import_image(DiskContainers=[container])

    task: Any = ended_import(owner.ec2, begun["ImportTaskId"])

    assert key_of(task) == owner.default_key()
    (image,) = owner.ec2.describe_images(ImageIds=[task["ImageId"]])["Images"]
    assert image["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True


def test_every_instance_type_can_have_encrypted_volumes(owner: Owner) -> None:
    wanted: Any = [{"Name": "ebs-info.encryption-support", "Values": ["supported"]}]

    (kind,) = owner.ec2.describe_instance_types(InstanceTypes=["t3.micro"], Filters=wanted)["InstanceTypes"]

    assert kind["EbsInfo"]["EncryptionSupport"] == "supported"


def test_a_copy_whose_key_is_lost_says_so(owner: Owner) -> None:
    snapshot, key = owner.snapshot(), owner.key()
    (owner.running.home / "volume-keys" / f"{key.rpartition('/')[2]}.key").unlink()
    wanted: dict[str, Any] = {"SourceRegion": "us-east-1", "SourceSnapshotId": snapshot["SnapshotId"]}

    copy_id = owner.ec2.copy_snapshot(**wanted, Encrypted=True, KmsKeyId=key)["SnapshotId"]

    failed = until(lambda: owner.shown(copy_id), lambda copy: copy["State"] == "error")
    assert failed["StateMessage"] == "Given key ID is not accessible"


def test_an_image_s_copy_whose_key_is_lost_fails_with_a_reason(shop: Shop) -> None:
    owner = Owner(shop.running, shop.name)
    key = owner.key()
    (owner.running.home / "volume-keys" / f"{key.rpartition('/')[2]}.key").unlink()
    wanted: dict[str, Any] = {"SourceImageId": shop.image_id, "SourceRegion": "us-east-1", "Name": "encrypted"}

    image_id = shop.ec2.copy_image(**wanted, Encrypted=True, KmsKeyId=key)["ImageId"]

    image = until(
        lambda: shop.ec2.describe_images(ImageIds=[image_id])["Images"][0], lambda it: it["State"] == "failed"
    )
    assert image["StateReason"]["Code"] == "Client.InvalidKMSKey.InvalidState"


def test_a_launch_template_can_ask_for_encryption(shop: Shop) -> None:
    key = Owner(shop.running, shop.name).key()
    data: Any = {"BlockDeviceMappings": [device("/dev/xvda", Encrypted=True, KmsKeyId=key)]}
    shop.ec2.create_launch_template(LaunchTemplateName="encrypted", LaunchTemplateData=data)

    instance = shop.launch(LaunchTemplate={"LaunchTemplateName": "encrypted"})

    assert key_of(volumes_of(shop, instance)["/dev/xvda"]) == key


def test_snapshots_of_an_instance_say_which_are_encrypted(shop: Shop) -> None:
    instance = shop.launch(BlockDeviceMappings=[device("/dev/sdf", VolumeSize=1, Encrypted=True)])

    taken = shop.ec2.create_snapshots(InstanceSpecification={"InstanceId": instance["InstanceId"]})["Snapshots"]

    assert sorted(snapshot["Encrypted"] for snapshot in taken) == [False, True]


def test_a_file_of_the_host_becomes_an_encrypted_image_where_all_is_encrypted(
    shared: RunningServer, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    owner = Owner(shared, f"importer of {request.node.nodeid}")
    owner.ec2.enable_ebs_encryption_by_default()
    (tmp_path / "disk.raw").write_bytes(bytes(1 << 20))

    shop = Shop(shared, owner.name, tmp_path / "disk.raw")

    (image,) = owner.ec2.describe_images(ImageIds=[shop.image_id])["Images"]
    assert image["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
