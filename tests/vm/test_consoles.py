"""The consoles of a real machine: a Linux guest on its serial line, on its screen, and behind the interrupt button.

The tests share one instance.
"""

import json
import os
import subprocess
import sys
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from tests.terminal import ESCAPE, Terminal, on_terminal, terminal
from tests.vm.guest import Guest, wait_for
from tests.vm.host import BAKEHOUSE, Host

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

#: What OpenSSH returns when its user hangs up by `~.`.
SSH_LEFT = 255

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


@pytest.fixture
def ssh(host: Host, guest: Guest, tmp_path: Path) -> list[str]:
    """The command line that opens the guest's console as on EC2, with a key that was just sent."""
    wait_for(lambda: guest.console().rstrip().endswith("login:"), "the guest waits for a name", timeout_s=60)
    host.ec2.enable_serial_console_access()
    client = json.loads(host.bakehouse("env", "--json").stdout)
    sending = ["ec2-instance-connect", "send-serial-console-ssh-public-key", "--instance-id", guest.instance_id]
    for argv in (
        [*BAKEHOUSE, "ssh-config", "--install", "--home", str(host.home)],
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{tmp_path}/key"],
        [sys.executable, "-m", "awscli", *sending, "--ssh-public-key", f"file://{tmp_path}/key.pub"],
    ):
        environment = {**os.environ, **client, "HOME": str(tmp_path)}
        subprocess.run(argv, env=environment, stdout=subprocess.DEVNULL, check=True, timeout=60)
    destination = f"{guest.instance_id}.port0@serial-console.ec2-instance-connect.us-east-1.aws"
    return ["ssh", "-F", f"{tmp_path}/.ssh/config", "-i", f"{tmp_path}/key", "-o", "IdentitiesOnly=yes", destination]


def test_who_comes_by_ssh_logs_in_and_sends_breaks(guest: Guest, ssh: list[str]) -> None:
    with on_terminal(ssh) as shown:
        shown.wait_for(b"login:")
        ask(guest, shown, b"root\r", "~ # ")
        ask(guest, shown, b"echo $((6 * 9)); exit\r", "login: ")
        shown.wait_for(b"\n54")
        # A BREAK overtakes what the guest has not read yet.
        ask(guest, shown, b"\r", "login: ")
        ask(guest, shown, b"~B7", "sysrq: Changing Loglevel")
        shown.type(b"\r~.")

        assert shown.end() == SSH_LEFT


def ask(guest: Guest, shown: Terminal, keys: bytes, answer: str) -> None:
    """Type, and wait until the guest has written the answer once more: what it wrote before is shown as well."""
    before = guest.console().count(answer)
    shown.type(keys)
    wait_for(lambda: guest.console().count(answer) > before, f"the guest writes {answer!r}", timeout_s=60)


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
