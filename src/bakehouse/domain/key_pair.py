"""Key pairs: the public half is kept, the private half is shown once."""

from dataclasses import dataclass, field
from datetime import datetime

from bakehouse.domain.errors import Ec2Error


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A public key by which a caller reaches the instances launched with it."""

    id: str
    account_id: str
    region: str
    name: str
    type: str
    """`rsa` or `ed25519`."""
    fingerprint: str
    public_key: str
    """One line, as in authorized_keys."""
    created_at: datetime
    tags: dict[str, str] = field(default_factory=dict)


def key_pair_exists(name: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidKeyPair.Duplicate."""
    return Ec2Error("InvalidKeyPair.Duplicate", f"The keypair '{name}' already exists.")


def key_pair_not_found(name: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidKeyPair.NotFound; waiters name this code."""
    return Ec2Error("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")


def key_format_refused() -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidKey.Format; wording as AWS answers it."""
    return Ec2Error("InvalidKey.Format", "Key is not in valid OpenSSH public key format")


def key_kind_refused(reason: str) -> Ec2Error:
    """Refuse a public key that can be read, and that EC2 does not take. Source: EC2 User Guide, "Create a key pair"."""
    return Ec2Error("InvalidKey.Format", f"Key is not in valid OpenSSH public key format: {reason}")
