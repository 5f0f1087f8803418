"""The consoles of a real machine: a Linux guest on its serial line, on its screen, and behind the interrupt button.

The tests share one instance.
"""

from base64 import b64decode
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from tests.terminal import ESCAPE, terminal
from tests.vm.guest import Guest
from tests.vm.host import Host

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

pytestmark = [pytest.mark.vm, pytest.mark.one_user, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def guest(host: Host) -> Guest:
    guest = host.launch()
    guest.wait_for_console("login:")
    return guest


def test_who_types_on_the_serial_console_logs_in(host: Host, guest: Guest) -> None:
    with terminal(host.home, "-i", guest.instance_id) as shown:
        shown.wait_for(b"login:")
        shown.type(b"root\r")
        shown.wait_for(b"# ")
        shown.type(b"echo $((6 * 7)); exit\r")

        shown.wait_for(b"\n42")


def test_sysrq_is_the_kernels(host: Host, guest: Guest) -> None:
    host.bakehouse("console", guest.instance_id, "--sysrq", "h")

    guest.wait_for_console("sysrq: HELP")


def test_sysrq_in_a_session_is_the_kernels_too(host: Host, guest: Guest) -> None:
    with terminal(host.home, "-i", guest.instance_id) as shown:
        shown.wait_for(b"login:")
        shown.type(ESCAPE + b"ss")

        shown.wait_for(b"sysrq: Emergency Sync")


def test_a_session_goes_on_with_the_next_server(host: Host, guest: Guest) -> None:
    with terminal(host.home, "-i", guest.instance_id) as shown:
        shown.wait_for(b"login:")
        host.kill()
        shown.wait_for(b"the server is gone")
        assert host.start()
        shown.wait_for(b"the server is back")
        shown.type(b"\r")

        shown.wait_for(b"login:", times=2)


def test_a_screenshot_shows_what_the_firmware_wrote(guest: Guest, ec2: "EC2Client") -> None:
    data = ec2.get_console_screenshot(InstanceId=guest.instance_id, WakeUp=True)["ImageData"]

    picture = Image.open(BytesIO(b64decode(data)))
    shades = picture.convert("L").histogram()
    assert (picture.format, picture.size) == ("JPEG", (720, 400))
    assert sum(shades[:64]) > sum(shades[128:]) > picture.width


def test_a_diagnostic_interrupt_is_not_maskable(guest: Guest, ec2: "EC2Client") -> None:
    ec2.send_diagnostic_interrupt(InstanceId=guest.instance_id)

    guest.wait_for_console("NMI received for unknown reason")
