"""Into guests by the command line, and by plain ssh: by the host keys that they printed to their consoles."""

import os
import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.vm.guest import Guest, wait_for
from tests.vm.host import BAKEHOUSE, GROUP_NAME, Host, free_port

pytestmark = [pytest.mark.vm, pytest.mark.one_user, pytest.mark.timeout(240)]

KEYS_PRINTED = "END SSH HOST KEY KEYS"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKRDgtzVR0GDNghfHARj5nMGdK6SSQnxU+wb5MNPePkw"


@pytest.fixture(scope="module")
def private(host: Host) -> Guest:
    """A guest without a public address."""
    group = host.ec2.describe_security_groups(GroupNames=[GROUP_NAME])["SecurityGroups"][0]["GroupId"]
    subnet = host.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    interface = {"DeviceIndex": 0, "SubnetId": subnet, "AssociatePublicIpAddress": False, "Groups": [group]}
    return host.launch(NetworkInterfaces=[interface], SecurityGroupIds=[])


@pytest.fixture(scope="module")
def guest(host: Host, private: Guest) -> Guest:  # noqa: ARG001 - both boot at once
    """A guest that is open to this host."""
    launched = host.launch()
    launched.wait_for_console(KEYS_PRINTED)
    launched.wait_for_ssh()
    return launched


def key(host: Host) -> list[str]:
    return ["-i", str(host.home / "test.pem")]


def bakehouse(host: Host, *arguments: str) -> list[str]:
    command, *rest = arguments
    return [*BAKEHOUSE, command, "--home", str(host.home), *key(host), *rest]


def run(argv: list[str], environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    whole = {**os.environ, **(environment or {})}
    return subprocess.run(
        argv, env=whole, stdin=subprocess.DEVNULL, check=False, capture_output=True, text=True, timeout=90
    )


def test_plain_ssh_reaches_an_instance_by_its_id(host: Host, guest: Guest, tmp_path: Path) -> None:
    installed = run([*BAKEHOUSE, "ssh-config", "--install", "--home", str(host.home)], {"HOME": str(tmp_path)})
    assert installed.returncode == 0, installed.stderr

    # OpenSSH takes the home from the user's account; a user's own file is read like this one.
    config = tmp_path / ".ssh" / "config"
    done = run(["ssh", "-F", str(config), *key(host), guest.instance_id, "hostname"])

    assert done.stdout.strip() == guest.run("hostname"), done.stderr


def test_the_host_key_is_that_of_the_console_and_another_is_refused(host: Host, guest: Guest, tmp_path: Path) -> None:
    assert run(bakehouse(host, "ssh", guest.instance_id, "--", "true")).returncode == 0
    known = (host.home / "ssh" / f"{guest.instance_id}.known_hosts").read_text()
    assert known.split() == [guest.instance_id, "ssh-ed25519", guest.host_key()]

    # What a machine at its address would look like that is another one.
    stranger = tmp_path / "known_hosts"
    stranger.write_text(f"{guest.instance_id} {OTHER_KEY}\n")
    run([*BAKEHOUSE, "ssh-config", guest.instance_id, "--home", str(host.home)])
    config = host.home / "ssh" / f"{guest.instance_id}.conf"
    refused = run(["ssh", "-F", str(config), "-o", f"UserKnownHostsFile={stranger}", guest.instance_id, "true"])

    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in refused.stderr


def test_a_private_instance_is_reached_through_another(host: Host, guest: Guest, private: Guest) -> None:
    private.wait_for_console(KEYS_PRINTED)
    arguments = bakehouse(host, "ssh", private.instance_id, "--via", guest.instance_id, "--", "hostname")
    name = private.describe()["PrivateDnsName"].split(".")[0]

    wait_for(lambda: run(arguments).stdout.strip() == name, "the private guest answers", timeout_s=60)


def test_a_port_that_no_group_opens_is_forwarded(host: Host, guest: Guest) -> None:
    guest.run("mkdir -p /tmp/www && echo hello > /tmp/www/note && httpd -p 127.0.0.1:8080 -h /tmp/www")
    local = free_port()

    with subprocess.Popen(
        bakehouse(host, "forward", guest.instance_id, f"{local}:8080"), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as forwarding:
        try:
            wait_for(lambda: answer(local) == b"hello\n", "the port leads to the guest's")
        finally:
            forwarding.terminate()


def answer(port: int) -> bytes:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/note", timeout=20) as page:
            content: bytes = page.read()
            return content
    except OSError:
        return b""


@pytest.mark.long
@pytest.mark.timeout(700)
def test_files_go_there_and_back(host: Host, tmp_path: Path) -> None:
    debian = host.launch(host.image("debian-12"), InstanceType="t2.micro")
    debian.wait_for_console(KEYS_PRINTED, timeout_s=500)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "page").write_text("hello")

    there = run(bakehouse(host, "scp", "-r", str(tmp_path / "site"), f"{debian.instance_id}:/tmp/there"))
    back = run(bakehouse(host, "scp", f"{debian.instance_id}:/tmp/there/page", str(tmp_path / "back")))

    assert (there.returncode, back.returncode) == (0, 0), there.stderr + back.stderr
    assert (tmp_path / "back").read_text() == "hello"
