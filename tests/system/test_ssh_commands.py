"""What ssh and its kin are told by the command line, against a server that simulates."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.commands import Commands
from tests.system.shop import Shop

from bakehouse.cli import ssh_banner
from bakehouse.cli.ssh_target import Target, Targets
from bakehouse.cli.terminal import CommandFailed
from bakehouse.domain.public_names import public_name
from bakehouse.server.host_key import host_key

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKRDgtzVR0GDNghfHARj5nMGdK6SSQnxU+wb5MNPePkw"
OTHER_KEY = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBA=="


class _Control:
    """A server's control socket, as far as SSH's commands ask it: a console, and where ports are."""

    def __init__(self) -> None:
        self.console = b""
        self.host_port = 22

    def get(self, path: str) -> Any:
        place = {"public_ip": "127.9.9.9", "port": 22, "host_port": self.host_port, "path": path}
        return {"serial_console": "127.0.0.1:8722"} if path == "/status" else place

    def get_bytes(self, _path: str) -> bytes:
        return self.console


class Desk(Commands):
    """Somebody at a terminal, whose commands become other programs."""

    def __init__(self, shop: Shop, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shop = shop
        self.home = home
        self.control = _Control()
        self.calls: list[list[str]] = []
        server: Any = self.control
        targets = Targets(home, shop.ec2, server)
        monkeypatch.setattr(Targets, "of_home", _always(targets))
        monkeypatch.setattr(os, "execvp", lambda _program, arguments: self.calls.append(arguments))
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("BAKEHOUSE_HOME", str(home))

    def run(self, *arguments: str) -> list[str]:
        """Return the command line that the command became."""
        self.succeeded(*arguments)
        return self.calls[-1]


def _always(targets: Targets) -> Any:
    class _Given:
        def __init__(self, _home: Path) -> None: ...

        def __enter__(self) -> Targets:
            return targets

        def __exit__(self, *_error: object) -> None: ...

    return _Given


@pytest.fixture
def desk(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Somebody with a running instance's key in the home."""
    home = tmp_path / "a home"
    (home / "keys").mkdir(parents=True)
    (home / "keys" / "mine.pem").write_text("a key")
    shop.ec2.create_key_pair(KeyName="mine")
    return Desk(shop, home, monkeypatch)


@pytest.fixture
def instance_id(desk: Desk) -> str:
    """An instance of an image whose user is known."""
    desk.shop.ec2.create_tags(Resources=[desk.shop.image_id], Tags=[{"Key": "bakehouse:user", "Value": "admin"}])
    return str(desk.shop.launch(KeyName="mine")["InstanceId"])


@pytest.fixture
def private_id(desk: Desk) -> str:
    """An instance that nobody outside its VPC reaches."""
    subnet = desk.shop.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    interface: Any = [{"DeviceIndex": 0, "SubnetId": subnet, "AssociatePublicIpAddress": False}]
    return str(desk.shop.launch(NetworkInterfaces=interface)["InstanceId"])


def options(arguments: list[str]) -> dict[str, str]:
    pairs = [word for at, word in enumerate(arguments) if at and arguments[at - 1] == "-o"]
    return dict(pair.split("=", 1) for pair in pairs)


def test_what_waits_is_told_the_keys_that_the_guest_made_meanwhile(
    desk: Desk, instance_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def boot(_target: Target) -> None:
        desk.control.console = f"-----BEGIN SSH HOST KEY KEYS-----\n{KEY}\n-----END SSH HOST KEY KEYS-----".encode()

    monkeypatch.setattr(ssh_banner, "wait_for_banner", boot)

    arguments = desk.run("ssh", "--wait", instance_id)

    assert options(arguments)["StrictHostKeyChecking"] == "yes"


def test_ssh_is_told_where_and_who(desk: Desk, instance_id: str) -> None:
    arguments = desk.run("ssh", instance_id, "--", "uname", "-a")

    assert options(arguments) == {
        "HostName": "127.9.9.9",
        "Port": "22",
        "User": "admin",
        "HostKeyAlias": instance_id,
        "UserKnownHostsFile": f'"{desk.home}/ssh/{instance_id}.known_hosts"',
        "StrictHostKeyChecking": "accept-new",
        "IdentityFile": f'"{desk.home}/keys/mine.pem"',
    }
    assert arguments[0] == "ssh"
    assert arguments[-3:] == [instance_id, "uname", "-a"]


def test_keys_that_a_guest_printed_are_the_only_ones_taken(desk: Desk, instance_id: str) -> None:
    block = "-----BEGIN SSH HOST KEY KEYS-----\r\n{}\r\n-----END SSH HOST KEY KEYS-----\r\n"
    old = block.format("ssh-ed25519 AAAAold root@ip-172-31-0-4")
    desk.control.console = (old + "boots again\n" + block.format(f"{KEY} root@x\r\n{OTHER_KEY}")).encode()

    arguments = desk.run("ssh", instance_id)

    assert options(arguments)["StrictHostKeyChecking"] == "yes"
    known = (desk.home / "ssh" / f"{instance_id}.known_hosts").read_text()
    assert known == f"{instance_id} {KEY}\n{instance_id} {OTHER_KEY}\n"


def test_a_port_that_the_host_has_elsewhere_is_found_there(desk: Desk, instance_id: str) -> None:
    desk.control.host_port = 10022

    assert options(desk.run("ssh", instance_id))["Port"] == "10022"


def test_a_user_and_a_key_may_be_named(desk: Desk, instance_id: str, tmp_path: Path) -> None:
    key = tmp_path / "other.pem"
    key.write_text("a key")

    told = options(desk.run("ssh", instance_id, "-l", "root", "-i", str(key)))

    assert (told["User"], told["IdentityFile"]) == ("root", f'"{key}"')


def test_scp_gets_its_operands_and_options_as_they_are(desk: Desk, instance_id: str) -> None:
    arguments = desk.run("scp", "-r", "folder", f"{instance_id}:/tmp/there")

    assert arguments[0] == "scp"
    assert arguments[-3:] == ["-r", "folder", f"{instance_id}:/tmp/there"]
    assert options(arguments)["HostName"] == "127.9.9.9"


@pytest.mark.parametrize(
    "operands",
    [("a", "b"), ("./i-0123456789abcdef0:a", "b"), ("i-0123456789abcdef0:a", "i-0123456789abcdef1:b")],
)
def test_scp_without_one_instance_is_refused(desk: Desk, operands: tuple[str, str]) -> None:
    assert "instance" in desk.failure("scp", *operands).message


@pytest.mark.parametrize(
    ("port", "way"),
    [
        ("8080:80", "127.0.0.1:8080:localhost:80"),
        ("80", "127.0.0.1:80:localhost:80"),
        ("8080:10.0.0.7:80", "127.0.0.1:8080:10.0.0.7:80"),
    ],
)
def test_ports_are_forwarded_from_this_host_alone(desk: Desk, instance_id: str, port: str, way: str) -> None:
    arguments = desk.run("forward", instance_id, port)

    assert arguments[-3:] == ["-L", way, instance_id]
    assert "-N" in arguments


@pytest.mark.parametrize("port", ["", "x", "0:80", "8080:", "65536", "1:2:3:4"])
def test_what_names_no_ports_is_refused(desk: Desk, instance_id: str, port: str) -> None:
    assert "names no ports" in desk.failure("forward", instance_id, port).message


def test_a_private_instance_is_refused_with_the_next_step(desk: Desk, private_id: str) -> None:
    failure = desk.failure("ssh", private_id)

    assert "no public address" in failure.message
    assert "--via" in failure.hint


def test_a_private_instance_is_reached_by_way_of_another(desk: Desk, instance_id: str, private_id: str) -> None:
    told = options(desk.run("ssh", private_id, "--via", instance_id))

    assert told["HostName"] == desk.shop.describe(private_id)["PrivateIpAddress"]
    assert told["ProxyCommand"].startswith("ssh -o HostName=127.9.9.9 ")
    assert told["ProxyCommand"].endswith(f"-W %h:%p {instance_id}")


def name_of(desk: Desk, instance_id: str) -> str:
    return public_name(desk.shop.describe(instance_id)["PublicIpAddress"], "us-east-1")


def test_an_instance_is_known_by_its_public_name_whether_this_host_resolves_it_or_not(
    desk: Desk, instance_id: str
) -> None:
    name = name_of(desk, instance_id)

    commands = (("ssh", name), ("scp", f"admin@{name}:a", "b"), ("forward", name, "80"))
    told = [options(desk.run(*words)) for words in commands]

    assert [it["HostKeyAlias"] for it in told] == [instance_id] * 3
    assert [it["HostName"] for it in told] == ["127.9.9.9"] * 3


def test_a_public_name_that_nobody_has_is_refused(desk: Desk) -> None:
    failure = desk.failure("ssh", public_name("127.9.9.9", "us-east-1"))

    assert failure.message == "no instance has the address 127.9.9.9"


def test_ssh_itself_reads_of_public_names_too(desk: Desk, instance_id: str) -> None:
    name = name_of(desk, instance_id)

    read = ssh_reads(desk, name, name)

    assert (read["hostname"], read["hostkeyalias"]) == ("127.9.9.9", instance_id)
    assert "ec2-*.bakehouse.internal" in desk("ssh-config").stdout


def test_a_stopped_instance_is_refused(desk: Desk, instance_id: str) -> None:
    desk.shop.stop(instance_id)

    assert desk.failure("ssh", instance_id).message == f"{instance_id} is stopped"


def ssh_reads(desk: Desk, asked: str, destination: str) -> dict[str, str]:
    """Return what OpenSSH makes of the configuration; the question that it would ask us was asked already."""
    desk("ssh-config", asked)
    lines = desk("ssh-config").stdout.splitlines()
    config = desk.home / "ssh_config"
    config.write_text("\n".join(line for line in lines if not line.startswith("Match host")) + "\n")
    argv = ["ssh", "-G", "-F", str(config), destination]
    said = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30).stdout
    return dict(line.split(" ", 1) for line in said.splitlines() if " " in line)


def test_ssh_itself_reads_the_same_of_its_configuration(desk: Desk, instance_id: str) -> None:
    read = ssh_reads(desk, instance_id, instance_id)

    assert (read["hostname"], read["user"], read["hostkeyalias"]) == ("127.9.9.9", "admin", instance_id)
    assert read["userknownhostsfile"] == f"{desk.home}/ssh/{instance_id}.known_hosts"
    assert read["identityfile"] == f"{desk.home}/keys/mine.pem"


def test_a_serial_console_has_ec2s_name(desk: Desk, instance_id: str) -> None:
    key = host_key(desk.home / "serial-console.key").public
    user = f"{instance_id}.port0"

    read = ssh_reads(desk, user, f"{user}@serial-console.ec2-instance-connect.eu-west-1.aws")

    assert (read["hostname"], read["port"], read["user"]) == ("127.0.0.1", "8722", user)
    known_hosts = Path(read["userknownhostsfile"]).read_text()
    assert known_hosts == f"{read['hostkeyalias']} {key}\n"


def test_serial_consoles_of_other_instances_stay_ec2s(desk: Desk, instance_id: str) -> None:
    host = "serial-console.ec2-instance-connect.eu-west-1.aws"

    read = ssh_reads(desk, f"{instance_id}.port0", f"i-0123456789abcdef0.port0@{host}")

    assert read["hostname"] == host


def test_a_serial_console_of_nobody_is_not_written_down(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_path: str) -> bytes:
        raise CommandFailed("The instance ID does not exist")

    monkeypatch.setattr(desk.control, "get_bytes", missing)

    desk.failure("ssh-config", "i-0123456789abcdef0.port0")

    assert list((desk.home / "ssh").iterdir()) == []


def test_what_was_written_down_of_an_instance_goes_with_it(desk: Desk, instance_id: str) -> None:
    desk("ssh-config", instance_id)
    assert (desk.home / "ssh" / f"{instance_id}.conf").exists()
    desk.shop.ec2.terminate_instances(InstanceIds=[instance_id])

    desk.failure("ssh-config", instance_id)

    assert not (desk.home / "ssh" / f"{instance_id}.conf").exists()


def test_the_configuration_is_included_once_and_first(desk: Desk) -> None:
    config = desk.home / ".ssh" / "config"
    config.parent.mkdir()
    config.write_text("Host *\n  User me\n")

    desk("ssh-config", "--install")
    desk("ssh-config", "--install")

    assert config.read_text().splitlines()[1] == f'Include "{desk.home}/ssh_config"'
    assert config.read_text().count("Include") == 1
    assert config.read_text().endswith("Host *\n  User me\n")
    assert config.stat().st_mode & 0o777 == 0o600
