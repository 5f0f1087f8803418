"""The key by which SSH clients know this server's serial consoles: one for the life of a home."""

import hashlib
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)


class HostKeyUnreadable(Exception):
    """The file is no private key of OpenSSH's without a passphrase. The text names it."""


@dataclass(frozen=True, slots=True)
class HostKey:
    """A key pair, both in OpenSSH's format."""

    private: bytes = field(repr=False)
    public: str
    """`ssh-ed25519 AAAA...`, as known_hosts has it after the names."""

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` and ssh show it: `SHA256:...`."""
        digest = hashlib.sha256(b64decode(self.public.split()[1])).digest()
        return f"SHA256:{b64encode(digest).decode().rstrip('=')}"


def host_key(path: Path) -> HostKey:
    """Return the key of a file that only its owner may read; make both where there is none.

    Raises:
        HostKeyUnreadable: There is something else. It was left as it is.
    """
    if not path.exists():
        made = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        temporary = path.with_suffix(".tmp")
        temporary.touch(mode=0o600)
        temporary.write_bytes(made)
        temporary.replace(path)
    private = path.read_bytes()
    try:
        public = load_ssh_private_key(private, password=None).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm) as err:
        raise HostKeyUnreadable(f"`{path}` is no private key of SSH without a passphrase") from err
    return HostKey(private, public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())
