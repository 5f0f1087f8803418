"""Encrypted volumes and snapshots, and the keys they are encrypted with, as boto3 sees them."""

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from tests.server import RunningServer
from tests.system.key_owner import Owner, key_of
from tests.system.shop import refusal

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


@pytest.fixture
def owner(shared: RunningServer, request: pytest.FixtureRequest) -> Owner:
    return Owner(shared, f"owner of {request.node.nodeid}")


@pytest.fixture
def other(shared: RunningServer, request: pytest.FixtureRequest) -> Owner:
    return Owner(shared, f"other of {request.node.nodeid}")


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
