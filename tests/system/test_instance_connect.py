"""EC2 Instance Connect: a public key for a minute, in the metadata of the guest."""

from datetime import timedelta
from typing import Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.shop import Shop

from bakehouse.app.login_keys import LoginKeys
from bakehouse.imds.tree import find

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me@here"
ACTIVE = "latest/meta-data/managed-ssh-keys/active-keys"


@pytest.fixture
def connect(shop: Shop) -> Any:
    """A boto3 client of the service, of the shop's account."""
    return shop.running.client("ec2-instance-connect", shop.name)


def read(shop: Shop, instance_id: str, path: str) -> Any:
    instance = shop.describe(instance_id)
    metadata = shop.running.server.app.metadata.of(instance["VpcId"], instance["PrivateIpAddress"])
    assert metadata is not None
    return find(metadata, path)


def test_a_guest_reads_the_key_under_its_user(shop: Shop, connect: Any) -> None:
    instance_id = shop.launch()["InstanceId"]

    answer = connect.send_ssh_public_key(
        InstanceId=instance_id, InstanceOSUser="admin", SSHPublicKey=KEY, AvailabilityZone="us-east-1a"
    )

    assert answer["Success"]
    lines = read(shop, instance_id, f"{ACTIVE}/admin/").splitlines()
    assert [line for line in lines if not line.startswith("#")] == [KEY]
    assert f"#Instance={instance_id}" in lines
    assert read(shop, instance_id, f"{ACTIVE}/root/") is None


def test_a_guest_without_keys_has_no_such_directory(shop: Shop) -> None:
    assert read(shop, shop.launch()["InstanceId"], "latest/meta-data/managed-ssh-keys") is None


def test_a_key_is_good_for_a_minute(shop: Shop, connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    instance_id = shop.launch()["InstanceId"]
    monkeypatch.setattr("bakehouse.app.login_keys._LIFE", timedelta())

    connect.send_ssh_public_key(InstanceId=instance_id, InstanceOSUser="admin", SSHPublicKey=KEY)

    assert read(shop, instance_id, ACTIVE) is None
    keys: LoginKeys = shop.running.server.app.login_keys
    assert keys.of(instance_id) == {}


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"InstanceId": "i-00000000000000000"}, "EC2InstanceNotFoundException"),
        ({"SSHPublicKey": "ssh-ed25519 " + "A" * 80}, "InvalidArgsException"),
        ({"SSHPublicKey": KEY + "\n" + KEY}, "InvalidArgsException"),
        ({"SSHPublicKey": KEY.replace("ssh-ed25519", "ssh-rsa")}, "InvalidArgsException"),
        ({"AvailabilityZone": "us-east-1f"}, "InvalidArgsException"),
    ],
)
def test_what_is_no_key_of_an_instance_is_refused(shop: Shop, connect: Any, members: dict[str, Any], code: str) -> None:
    asked = {"InstanceId": shop.launch()["InstanceId"], "InstanceOSUser": "admin", "SSHPublicKey": KEY, **members}

    with refused(code):
        connect.send_ssh_public_key(**asked)


def test_a_key_for_a_stopped_instance_is_refused(shop: Shop, connect: Any) -> None:
    instance_id = shop.launch()["InstanceId"]
    shop.stop(instance_id)

    with refused("EC2InstanceStateInvalidException"):
        connect.send_ssh_public_key(InstanceId=instance_id, InstanceOSUser="admin", SSHPublicKey=KEY)


def test_a_key_for_another_accounts_instance_is_refused(shop: Shop, shared: RunningServer) -> None:
    instance_id = shop.launch()["InstanceId"]
    stranger = shared.client("ec2-instance-connect", "stranger who sends keys")

    with refused("EC2InstanceNotFoundException"):
        stranger.send_ssh_public_key(InstanceId=instance_id, InstanceOSUser="admin", SSHPublicKey=KEY)
