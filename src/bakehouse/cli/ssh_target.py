"""Where and as whom SSH reaches an instance, and by which keys the instance is known.

A guest prints its host keys to its serial console when it makes them, as cloud-init does, which nobody but the guest
writes to: a connection to another machine at its address is refused. Until they are there the first key is taken.
"""

import contextlib
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bakehouse.cli.home import ControlClient, control
from bakehouse.cli.image_imports import USER_TAG
from bakehouse.cli.terminal import CommandFailed
from bakehouse.domain.public_names import PUBLIC_DOMAIN, address_of

#: What ssh_config knows public names by.
PUBLIC_NAMES: Final = f"ec2-*.{PUBLIC_DOMAIN}"

_DEFAULT_USER: Final = "ec2-user"
_SSH_PORT: Final = 22

#: EC2's names of its serial consoles, and what the names of users there end with. Source: EC2 User Guide, "Connect to
#: the EC2 Serial Console".
SERIAL_HOSTS: Final = "serial-console.ec2-instance-connect.*.aws"
SERIAL_PORT: Final = ".port0"
_SERIAL_ALIAS: Final = "bakehouse-serial-console"

#: Source: cloud-init, `write-ssh-key-fingerprints`; what is between is a public key a line.
_HOST_KEYS: Final = re.compile(rb"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL)
_PUBLIC_KEY: Final = re.compile(rb"((?:ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+=*)(?:\s|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An instance as SSH's clients are told of it."""

    instance_id: str
    address: str
    port: int
    user: str
    key_file: Path | None
    known_hosts: Path
    """Has this instance's keys and no others."""
    is_known: bool
    """Whether they came from its console."""
    proxy_command: str | None = None

    def options(self) -> Iterator[tuple[str, str]]:
        """Yield options of ssh_config."""
        yield "HostName", self.address
        yield "Port", str(self.port)
        yield "User", self.user
        yield "HostKeyAlias", self.instance_id
        yield "UserKnownHostsFile", f'"{self.known_hosts}"'
        yield "StrictHostKeyChecking", "yes" if self.is_known else "accept-new"
        if self.key_file is not None:
            yield "IdentityFile", f'"{self.key_file}"'
        if self.proxy_command is not None:
            yield "ProxyCommand", self.proxy_command

    def arguments(self) -> list[str]:
        """Return the options as a command line has them."""
        return [word for name, value in self.options() for word in ("-o", f"{name}={value}")]


@dataclass(frozen=True, slots=True)
class Targets:
    """Finds out about instances of a home's first account."""

    home: Path
    client: Any
    server: ControlClient

    @classmethod
    @contextlib.contextmanager
    def of_home(cls, home: Path) -> Iterator["Targets"]:
        """Give those of a home, whose server runs."""
        from bakehouse.cli.client import ec2_client

        client = ec2_client(home)
        with control(home) as server:
            yield cls(home, client, server)

    def find(
        self, named: str, *, user: str | None = None, identity: Path | None = None, via: str | None = None
    ) -> Target:
        """Return how to reach an instance, by another one of its network if `via` names one.

        Both are named by id or by public name, whether this host resolves that or not. The key is for both; the other
        one's user is always its image's.

        Raises:
            CommandFailed: It does not run, or has no public address and no other way is named.
        """
        instance = self._instance(named)
        instance_id = instance["InstanceId"]
        state = instance["State"]["Name"]
        if state not in ("pending", "running"):
            start = f"start it: `aws ec2 start-instances --instance-ids {instance_id}`"
            look = "look at what runs: `aws ec2 describe-instances`"
            raise CommandFailed(f"{instance_id} is {state}", start if state == "stopped" else look)
        proxy = None if via is None else self._proxy(via, identity)
        if via is not None:
            address, port = instance["PrivateIpAddress"], _SSH_PORT
        elif not instance.get("PublicIpAddress"):
            raise CommandFailed(
                f"{instance_id} has no public address", "go through an instance of its VPC that has one: `--via i-...`"
            )
        else:
            place = self.server.get(f"/instances/{instance_id}/reach/{_SSH_PORT}")
            address, port = place["public_ip"], place["host_port"]
        key_file = identity or self.home / "keys" / f"{instance.get('KeyName', '')}.pem"
        known_hosts = self._folder() / f"{instance_id}.known_hosts"
        return Target(
            instance_id=instance_id,
            address=address,
            port=port,
            user=user or self._user_of(instance["ImageId"]),
            key_file=key_file.absolute() if key_file.exists() else None,
            known_hosts=known_hosts,
            is_known=self._learn_keys(instance_id, known_hosts),
            proxy_command=proxy,
        )

    def write_block(self, named: str) -> None:
        """Write the block of ssh_config that stands for an instance, or remove what stood for one that is gone."""
        path = self._folder() / f"{named}.conf"
        try:
            target = self.find(named)
        except CommandFailed:
            path.unlink(missing_ok=True)
            raise
        lines = [f"Host {named}", *(f"  {name} {value}" for name, value in target.options())]
        _write(path, "\n".join(lines) + "\n")

    def write_serial_block(self, instance_id: str) -> None:
        """Write the block of ssh_config by which EC2's name of serial consoles leads here, for one instance alone.

        Remove it when the server has no such instance.
        """
        from bakehouse.server.host_key import host_key

        path = self._folder() / f"{instance_id}{SERIAL_PORT}.conf"
        try:
            self.server.get_bytes(f"/instances/{instance_id}/console")
        except CommandFailed:
            path.unlink(missing_ok=True)
            raise
        address, port = self.server.get("/status")["serial_console"].split(":")
        known_hosts = self._folder() / "serial-console.known_hosts"
        _write(known_hosts, f"{_SERIAL_ALIAS} {host_key(self.home / 'serial-console.key').public}\n")
        options = (
            f"HostName {address}",
            f"Port {port}",
            f"HostKeyAlias {_SERIAL_ALIAS}",
            f'UserKnownHostsFile "{known_hosts}"',
            "StrictHostKeyChecking yes",
        )
        lines = [f"Match originalhost {SERIAL_HOSTS} user {path.stem}", *(f"  {option}" for option in options)]
        _write(path, "\n".join(lines) + "\n")

    def _proxy(self, via: str, identity: Path | None) -> str:
        jump = self.find(via, identity=identity)
        return shlex.join(["ssh", *jump.arguments(), "-W", "%h:%p", jump.instance_id])

    def _folder(self) -> Path:
        folder = self.home / "ssh"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _learn_keys(self, instance_id: str, known_hosts: Path) -> bool:
        """Write down the host keys of an instance's console, and tell whether there are any.

        Those printed last count: a guest makes new ones when its root volume is another.
        """
        blocks = _HOST_KEYS.findall(self.server.get_bytes(f"/instances/{instance_id}/console"))
        keys = _PUBLIC_KEY.findall(blocks[-1]) if blocks else []
        if keys:
            _write(known_hosts, "".join(f"{instance_id} {key.decode()}\n" for key in keys))
        return bool(keys)

    def _instance(self, named: str) -> Mapping[str, Any]:
        address = address_of(named)
        wanted: dict[str, Any] = {"InstanceIds": [named]}
        if address is not None:
            wanted = {"Filters": [{"Name": "network-interface.addresses.association.public-ip", "Values": [address]}]}
        found = self.client.describe_instances(**wanted)["Reservations"]
        if not found:
            raise CommandFailed(
                f"no instance has the address {address}", "see which are in use: `bakehouse names --hosts`"
            )
        instance: Mapping[str, Any] = found[0]["Instances"][0]
        return instance

    def _user_of(self, image_id: str) -> str:
        """Return the user of an image, or of the image that its source instance came from."""
        seen: set[str] = set()
        wanted: str | None = image_id
        while wanted is not None and wanted not in seen:
            seen.add(wanted)
            found = self.client.describe_images(Filters=[{"Name": "image-id", "Values": [wanted]}])["Images"]
            if not found:
                break
            for tag in found[0].get("Tags", ()):
                if tag["Key"] == USER_TAG:
                    user: str = tag["Value"]
                    return user
            wanted = found[0].get("SourceImageId")
        return _DEFAULT_USER


def _write(path: Path, text: str) -> None:
    """Replace a file, for several clients at once may read or write it."""
    with contextlib.suppress(FileNotFoundError):
        if path.read_text() == text:
            return
    new = path.with_suffix(f"{path.suffix}.new")
    new.write_text(text)
    new.replace(path)
