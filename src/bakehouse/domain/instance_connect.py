"""What EC2 Instance Connect takes and refuses.

Source: EC2 Instance Connect API Reference, errors of SendSSHPublicKey and SendSerialConsoleSSHPublicKey.
"""

import base64
import binascii
import re
import struct
from typing import Final

from bakehouse.domain.errors import ServiceError
from bakehouse.domain.ids import is_well_formed

#: Source: the same, InstanceOSUser.
_USER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9@._-]{0,30}[A-Za-z0-9$_-]?", re.ASCII)
#: Source: EC2 User Guide, "Connect using EC2 Instance Connect": RSA and ED25519.
_KINDS: Final = frozenset({"ssh-rsa", "ssh-ed25519"})
_KEY_MAX: Final = 4096
#: Source: EC2 User Guide, "Connect to the EC2 Serial Console": "The user name format is `instance-id.port0`".
_SERIAL_PORT: Final = ".port0"


def check_user(user: str) -> None:
    """Refuse what is no name of a user."""
    if not _USER.fullmatch(user):
        raise ServiceError("InvalidArgsException", "Invalid os user. Provide a valid user name of the instance.")


def read_public_key(text: str) -> bytes:
    """Return the key itself, as SSH sends it, of a line in OpenSSH's form; refuse what is no one public key."""
    line = text.strip()
    parts = line.split(maxsplit=2)
    if len(line) <= _KEY_MAX and line.isprintable() and len(parts) > 1 and parts[0] in _KINDS:
        try:
            blob = base64.b64decode(parts[1], validate=True)
        except (binascii.Error, ValueError):
            blob = b""
        kind = parts[0].encode()
        if blob.startswith(struct.pack(">I", len(kind)) + kind):
            return blob
    raise ServiceError("InvalidArgsException", "Invalid SSH key format. Provide an RSA or ED25519 public key.")


def instance_not_found() -> ServiceError:
    """Refuse an instance that the caller has not."""
    return ServiceError("EC2InstanceNotFoundException", "Instance not found")


def in_another_zone(zone: str) -> ServiceError:
    """Refuse an instance that is not where the request says."""
    return ServiceError("InvalidArgsException", f"The instance is not in the Availability Zone {zone}.")


def instance_not_running() -> ServiceError:
    """Refuse an instance whose guest cannot ask for the key."""
    return ServiceError("EC2InstanceStateInvalidException", "Instance is not running")


def serial_access_disabled() -> ServiceError:
    """Refuse a serial console of an account that has not enabled them."""
    return ServiceError(
        "SerialConsoleAccessDisabledException",
        "Your account is not authorized to use the EC2 Serial Console. To authorize your account, run the "
        "EnableSerialConsoleAccess API.",
    )


def serial_session_exists() -> ServiceError:
    """Refuse a second session beside one that goes on."""
    return ServiceError(
        "SerialConsoleSessionLimitExceededException",
        "The instance currently has 1 active serial console session. Only 1 session is supported at a time.",
    )


def instance_of_serial_user(user: str) -> str | None:
    """Return the instance whose serial console a user name of SSH asks for, `i-....port0`; None if it asks for none."""
    instance_id = user.removesuffix(_SERIAL_PORT)
    return instance_id if instance_id != user and is_well_formed(instance_id, "instance") else None
