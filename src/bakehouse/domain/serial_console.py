"""Refusals of the serial console. Source: the service model of EC2 Instance Connect, SendSerialConsoleSSHPublicKey."""

import re
from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_value

#: What Linux takes after a BREAK. Source: the kernel's admin guide, "Linux Magic System Request Key Hacks".
_SYSRQ_KEY: Final = re.compile(r"[0-9a-zA-Z?]", re.ASCII)


def serial_console_disabled() -> Ec2Error:
    """Refuse a connection while the account has not enabled access in the region."""
    return Ec2Error(
        "SerialConsoleAccessDisabledException",
        "Your account is not authorized to use the EC2 Serial Console. To authorize your account, run the "
        "EnableSerialConsoleAccess API.",
        403,
    )


def check_sysrq_key(key: str) -> None:
    """Refuse what is not one letter, digit or question mark."""
    if not _SYSRQ_KEY.fullmatch(key):
        raise invalid_value(key, "key", "SysRq takes one letter, digit or question mark.")
