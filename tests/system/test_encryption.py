"""Encrypted volumes and snapshots, and the keys they are encrypted with, as boto3 sees them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from tests.server import RunningServer
from tests.system.shop import Shop, refusal
from tests.system.transfers import Bucket, ended_import, ended_snapshot_import, until

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


@pytest.fixture
def owner(shared: RunningServer, request: pytest.FixtureRequest) -> Owner:
    return Owner(shared, f"owner of {request.node.nodeid}")


@pytest.fixture
def other(shared: RunningServer, request: pytest.FixtureRequest) -> Owner:
    return Owner(shared, f"other of {request.node.nodeid}")


def key_of(shown: Any) -> str | None:
    assert shown["Encrypted"] == ("KmsKeyId" in shown)
    key: str | None = shown.get("KmsKeyId")
    return key


def test_nothing_is_encrypted_that_nobody_asked_for(owner: Owner) -> None:
    assert owner.ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False
    assert key_of(owner.volume()) is None
    assert key_of(owner.volume(Encrypted=False)) is None


def test_an_account_has_a_key_of_its_own(owner: Owner, other: Owner) -> None:
    key = owner.default_key()

    assert key.startswith(f"arn:aws:kms:us-east-1:{owner.account_id}:key/")
    assert owner.default_key() == key != other.default_key()
    assert key_of(owner.volume(Encrypted=True)) == key
    assert key_of(owner.volume(Encrypted=True, KmsKeyId="alias/aws/ebs")) == key


def test_a_key_is_named_by_id_arn_alias_or_the_alias_s_arn(owner: Owner) -> None:
    key = owner.key("mine")
    alias_arn = key.rpartition(":")[0] + ":alias/mine"

    for name in (key, key.rpartition("/")[2], "alias/mine", alias_arn):
        assert key_of(owner.volume(Encrypted=True, KmsKeyId=name)) == key


@pytest.mark.parametrize("name", ["alias/none", "1234abcd-12ab-34cd-56ef-1234567890ab", "arn:aws:kms:us-east-1:x"])
def test_a_key_that_is_not_there_is_refused(owner: Owner, name: str) -> None:
    with pytest.raises(ClientError) as error:
        owner.volume(Encrypted=True, KmsKeyId=name)

    assert refusal(error) == "InvalidKMSKey.InvalidState"
    assert owner.ec2.describe_volumes()["Volumes"] == []


def test_another_account_s_key_is_not_there(owner: Owner, other: Owner) -> None:
    with pytest.raises(ClientError) as error:
        owner.volume(Encrypted=True, KmsKeyId=other.key())

    assert refusal(error) == "InvalidKMSKey.InvalidState"


@pytest.mark.parametrize("members", [{}, {"Encrypted": False}])
def test_a_key_requires_that_encryption_is_asked_for(owner: Owner, members: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as error:
        owner.volume(KmsKeyId=owner.key(), **members)

    assert refusal(error) == "InvalidParameterDependency"


def test_what_is_made_of_an_encrypted_volume_is_encrypted_with_its_key(owner: Owner) -> None:
    key = owner.key()
    snapshot = owner.snapshot(Encrypted=True, KmsKeyId=key)

    restored = owner.volume(SnapshotId=snapshot["SnapshotId"])
    (copied,) = owner.ec2.copy_volumes(SourceVolumeId=restored["VolumeId"], Encrypted=False)["Volumes"]

    assert key_of(snapshot) == key_of(restored) == key_of(copied) == key


def test_a_volume_of_an_encrypted_snapshot_can_have_another_key_but_never_none(owner: Owner) -> None:
    snapshot, key = owner.snapshot(Encrypted=True), owner.key()

    assert key_of(owner.volume(SnapshotId=snapshot["SnapshotId"], Encrypted=True, KmsKeyId=key)) == key
    with pytest.raises(ClientError) as error:
        owner.volume(SnapshotId=snapshot["SnapshotId"], Encrypted=False)
    assert refusal(error) == "InvalidParameterCombination"


def test_a_volume_of_a_plain_snapshot_can_be_encrypted(owner: Owner) -> None:
    snapshot = owner.snapshot()

    assert key_of(owner.volume(SnapshotId=snapshot["SnapshotId"], Encrypted=True)) == owner.default_key()


def test_a_copy_of_a_plain_volume_can_be_encrypted(owner: Owner) -> None:
    (copied,) = owner.ec2.copy_volumes(SourceVolumeId=owner.volume()["VolumeId"], Encrypted=True)["Volumes"]

    assert key_of(copied) == owner.default_key()


def test_a_copy_of_a_snapshot_has_the_key_that_is_asked_for_or_the_default_one(owner: Owner) -> None:
    plain, key = owner.snapshot(), owner.key()

    encrypted = owner.copy(plain, Encrypted=True)
    again = owner.copy(encrypted, Encrypted=True, KmsKeyId=key)

    assert key_of(owner.copy(plain)) is None
    assert key_of(encrypted) == owner.default_key()
    assert key_of(again) == key
    assert key_of(owner.copy(again)) == owner.default_key()


def test_a_copy_of_an_encrypted_snapshot_is_never_plain(owner: Owner) -> None:
    with pytest.raises(ClientError) as error:
        owner.copy(owner.snapshot(Encrypted=True), Encrypted=False)

    assert refusal(error) == "InvalidParameterCombination"


def test_a_copy_in_another_region_has_that_region_s_key(owner: Owner) -> None:
    copy = owner.copy(owner.snapshot(Encrypted=True), "eu-west-1")

    assert key_of(copy) == owner.running.ec2(owner.name, "eu-west-1").get_ebs_default_kms_key_id()["KmsKeyId"]
    assert ":eu-west-1:" in str(key_of(copy))


def test_an_account_can_encrypt_all_that_it_makes(owner: Owner) -> None:
    plain = owner.snapshot()
    assert owner.ec2.enable_ebs_encryption_by_default()["EbsEncryptionByDefault"] is True

    made = [owner.volume(), owner.volume(Encrypted=False), owner.volume(SnapshotId=plain["SnapshotId"])]
    made.append(owner.copy(plain))

    assert {key_of(it) for it in made} == {owner.default_key()}
    assert owner.ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is True
    assert owner.ec2.disable_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False
    assert key_of(owner.volume()) is None


def test_encryption_by_default_is_of_one_account_and_one_region(owner: Owner, other: Owner) -> None:
    owner.ec2.enable_ebs_encryption_by_default()

    europe = owner.running.ec2(owner.name, "eu-west-1")
    assert europe.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False
    assert other.ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False


def test_the_default_key_can_be_another_one(owner: Owner) -> None:
    own, key = owner.default_key(), owner.key("mine")

    assert owner.ec2.modify_ebs_default_kms_key_id(KmsKeyId="alias/mine")["KmsKeyId"] == key
    assert owner.default_key() == key_of(owner.volume(Encrypted=True)) == key
    assert owner.ec2.reset_ebs_default_kms_key_id()["KmsKeyId"] == owner.default_key() == own


def test_the_default_key_cannot_be_one_that_is_not_there(owner: Owner) -> None:
    with pytest.raises(ClientError) as error:
        owner.ec2.modify_ebs_default_kms_key_id(KmsKeyId="alias/none")

    assert refusal(error) == "InvalidKMSKey.InvalidState"


def test_volumes_and_snapshots_are_found_by_their_encryption(owner: Owner) -> None:
    plain, encrypted = owner.snapshot(), owner.snapshot(Encrypted=True)
    wanted: Any = [{"Name": "encrypted", "Values": ["true"]}]

    volumes = owner.ec2.describe_volumes(Filters=wanted)["Volumes"]
    snapshots = owner.ec2.describe_snapshots(OwnerIds=["self"], Filters=wanted)["Snapshots"]

    assert [it["VolumeId"] for it in volumes] == [encrypted["VolumeId"]]
    assert [it["SnapshotId"] for it in snapshots] == [encrypted["SnapshotId"]] != [plain["SnapshotId"]]


def share(client: "EC2Client", snapshot: Any, **receivers: Any) -> None:
    client.modify_snapshot_attribute(
        SnapshotId=snapshot["SnapshotId"],
        Attribute="createVolumePermission",
        OperationType="add",
        **receivers,
    )


@pytest.mark.parametrize("receivers", [{"UserIds": ["111122223333"]}, {"GroupNames": ["all"]}])
def test_a_snapshot_under_the_default_key_is_shared_with_nobody(owner: Owner, receivers: dict[str, Any]) -> None:
    snapshot = owner.snapshot(Encrypted=True)

    with pytest.raises(ClientError) as error:
        share(owner.ec2, snapshot, **receivers)

    assert refusal(error) == "OperationNotPermitted"


def test_an_encrypted_snapshot_is_never_public(owner: Owner) -> None:
    snapshot = owner.snapshot(Encrypted=True, KmsKeyId=owner.key())

    with pytest.raises(ClientError) as error:
        share(owner.ec2, snapshot, GroupNames=["all"])

    assert refusal(error) == "OperationNotPermitted"


def test_what_another_account_makes_of_a_shared_snapshot_has_that_account_s_key(owner: Owner, other: Owner) -> None:
    snapshot = owner.snapshot(Encrypted=True, KmsKeyId=owner.key())
    share(owner.ec2, snapshot, UserIds=[other.account_id])

    made = [other.volume(SnapshotId=snapshot["SnapshotId"]), other.copy(snapshot)]

    assert [key_of(it) for it in made] == [other.default_key()] * 2


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

    assert refusal(error) == "OperationNotPermitted"


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
