"""GetConsoleScreenshot and SendDiagnosticInterrupt."""

from base64 import b64decode
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from PIL import Image
from tests.system.shop import Shop, refusal

from bakehouse.drivers.hypervisor.fake import FakeHypervisor

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

MISSING = "i-0123456789abcdef0"


@pytest.fixture
def instance_id(shop: Shop) -> str:
    return str(shop.launch()["InstanceId"])


@pytest.fixture
def arm_id(shop: Shop) -> str:
    """A running instance of the ARM architecture."""
    (image,) = shop.ec2.describe_images(ImageIds=[shop.image_id])["Images"]
    root = image["BlockDeviceMappings"][0]
    disk: Any = {"DeviceName": root["DeviceName"], "Ebs": {"SnapshotId": root["Ebs"]["SnapshotId"]}}
    registered: Any = {"Name": "arm", "Architecture": "arm64", "RootDeviceName": root["DeviceName"]}
    image_id = shop.ec2.register_image(**registered, BlockDeviceMappings=[disk])["ImageId"]
    return str(shop.launch(ImageId=image_id, InstanceType="t4g.micro")["InstanceId"])


@pytest.mark.parametrize("wake_up", [False, True])
def test_a_screenshot_is_a_jpeg_of_the_screen(shop: Shop, instance_id: str, *, wake_up: bool) -> None:
    answer = shop.ec2.get_console_screenshot(InstanceId=instance_id, WakeUp=wake_up)

    picture = Image.open(BytesIO(b64decode(answer["ImageData"])))
    assert (answer["InstanceId"], picture.format, picture.size) == (instance_id, "JPEG", (720, 400))


def test_a_stopped_instance_has_no_screen(shop: Shop, instance_id: str) -> None:
    shop.stop(instance_id)

    with pytest.raises(ClientError) as error:
        shop.ec2.get_console_screenshot(InstanceId=instance_id)

    assert refusal(error) == "IncorrectInstanceState"


def test_the_screen_of_another_accounts_instance_is_not_found(instance_id: str, bob: "EC2Client") -> None:
    with pytest.raises(ClientError) as error:
        bob.get_console_screenshot(InstanceId=instance_id)

    assert refusal(error) == "InvalidInstanceID.NotFound"


def test_a_machine_of_the_arm_architecture_has_a_screen(shop: Shop, arm_id: str) -> None:
    assert shop.ec2.get_console_screenshot(InstanceId=arm_id)["ImageData"]


def test_a_machine_of_the_arm_architecture_has_no_key_to_press(shop: Shop, arm_id: str) -> None:
    with pytest.raises(ClientError) as error:
        shop.ec2.get_console_screenshot(InstanceId=arm_id, WakeUp=True)

    assert refusal(error) == "UnsupportedOperation"


def test_an_interrupt_reaches_the_guest(shop: Shop, instance_id: str) -> None:
    shop.ec2.send_diagnostic_interrupt(InstanceId=instance_id)

    assert "NMI received" in shop.ec2.get_console_output(InstanceId=instance_id)["Output"]


def test_a_stopped_instance_is_not_interrupted(shop: Shop, instance_id: str) -> None:
    shop.stop(instance_id)

    with pytest.raises(ClientError) as error:
        shop.ec2.send_diagnostic_interrupt(InstanceId=instance_id)

    assert refusal(error) == "IncorrectInstanceState"


def test_an_instance_of_the_arm_architecture_is_not_interrupted(shop: Shop, arm_id: str) -> None:
    with pytest.raises(ClientError) as error:
        shop.ec2.send_diagnostic_interrupt(InstanceId=arm_id)

    assert refusal(error) == "UnsupportedOperation"


def test_another_accounts_instance_is_not_interrupted(instance_id: str, bob: "EC2Client") -> None:
    with pytest.raises(ClientError) as error:
        bob.send_diagnostic_interrupt(InstanceId=instance_id)

    assert refusal(error) == "InvalidInstanceID.NotFound"


def test_a_machine_that_just_died_has_no_screen(shop: Shop, instance_id: str) -> None:
    hypervisor = shop.running.drivers.hypervisor
    assert isinstance(hypervisor, FakeHypervisor)
    shop.running.call(hypervisor.kill(instance_id))

    with pytest.raises(ClientError) as error:
        shop.ec2.get_console_screenshot(InstanceId=instance_id)

    assert refusal(error) == "IncorrectInstanceState"


@pytest.mark.parametrize("operation", ["get_console_screenshot", "send_diagnostic_interrupt"])
def test_an_instance_that_does_not_exist_is_not_found(alice: "EC2Client", operation: str) -> None:
    with pytest.raises(ClientError) as error:
        getattr(alice, operation)(InstanceId=MISSING)

    assert refusal(error) == "InvalidInstanceID.NotFound"
