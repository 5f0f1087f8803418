"""SendSerialConsoleSSHPublicKey, and what it refuses. What becomes of its keys: `test_serial_sessions.py`."""

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from tests.system.refusals import refused
from tests.system.shop import Shop, refusal

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me@here"


class Desk:
    """Somebody with an account that has enabled access, and an instance."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.connect: Any = shop.running.client("ec2-instance-connect", shop.name)
        shop.ec2.enable_serial_console_access()
        self.instance_id = str(shop.launch()["InstanceId"])

    def send(self) -> Any:
        return self.connect.send_serial_console_ssh_public_key(InstanceId=self.instance_id, SSHPublicKey=KEY)


@pytest.fixture
def desk(shop: Shop) -> Desk:
    return Desk(shop)


def test_a_key_is_taken(desk: Desk) -> None:
    answer = desk.send()

    assert answer["Success"]
    assert answer["RequestId"] == answer["ResponseMetadata"]["RequestId"]


def test_a_key_for_an_account_without_access_is_refused(desk: Desk) -> None:
    desk.shop.ec2.disable_serial_console_access()

    with refused("SerialConsoleAccessDisabledException"):
        desk.send()


def test_a_key_for_another_accounts_instance_is_refused(
    desk: Desk, bob: "EC2Client", request: pytest.FixtureRequest
) -> None:
    bob.enable_serial_console_access()
    stranger = desk.shop.running.client("ec2-instance-connect", f"bob of {request.node.nodeid}")

    with refused("EC2InstanceNotFoundException"):
        stranger.send_serial_console_ssh_public_key(InstanceId=desk.instance_id, SSHPublicKey=KEY)


def test_a_key_for_a_stopped_instance_is_refused(desk: Desk) -> None:
    desk.shop.stop(desk.instance_id)

    with refused("EC2InstanceStateInvalidException"):
        desk.send()


def test_a_key_for_a_terminated_instance_is_refused(desk: Desk) -> None:
    desk.shop.ec2.terminate_instances(InstanceIds=[desk.instance_id])
    desk.shop.ec2.get_waiter("instance_terminated").wait(InstanceIds=[desk.instance_id], WaiterConfig={"Delay": 1})

    with refused("EC2InstanceNotFoundException"):
        desk.send()


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"InstanceId": "i-00000000000000000"}, "EC2InstanceNotFoundException"),
        ({"SSHPublicKey": "ssh-ed25519 " + "A" * 80}, "InvalidArgsException"),
        ({"SSHPublicKey": "ecdsa-sha2-nistp256 " + "A" * 80}, "InvalidArgsException"),
    ],
)
def test_what_is_no_key_of_an_instance_is_refused(desk: Desk, members: dict[str, str], code: str) -> None:
    asked = {"InstanceId": desk.instance_id, "SSHPublicKey": KEY, **members}

    with refused(code):
        desk.connect.send_serial_console_ssh_public_key(**asked)


def test_there_is_no_other_port_than_the_first(desk: Desk) -> None:
    with pytest.raises(ClientError) as error:
        desk.connect.send_serial_console_ssh_public_key(InstanceId=desk.instance_id, SerialPort=1, SSHPublicKey=KEY)

    assert refusal(error)
