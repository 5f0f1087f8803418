"""Who has a serial console, and refusals of consoles."""

import re
from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_value
from bakehouse.domain.instance import InstanceState

#: What Linux takes after a BREAK. Source: the kernel's admin guide, "Linux Magic System Request Key Hacks".
_SYSRQ_KEY: Final = re.compile(r"[0-9a-zA-Z?]", re.ASCII)

#: Whose serial consoles can be connected to, as long as there is a machine. Source: EC2 User Guide, "Connect to the EC2
#: Serial Console", prerequisites.
WITH_SERIAL_CONSOLE: Final = frozenset(
    {InstanceState.PENDING, InstanceState.RUNNING, InstanceState.STOPPING, InstanceState.SHUTTING_DOWN}
)


def serial_console_disabled() -> Ec2Error:
    """Refuse a connection while the account has not enabled access in the region.

    Source: service model of EC2 Instance Connect, SendSerialConsoleSSHPublicKey.
    """
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


def no_screen(instance_id: str) -> Ec2Error:
    """Refuse a picture of what is not there: the machine was started before machines had screens."""
    return Ec2Error("UnsupportedOperation", f"The instance '{instance_id}' has no display until it is started again.")


def no_keyboard(instance_id: str) -> Ec2Error:
    """Refuse to press a key of a machine without keys."""
    return Ec2Error("UnsupportedOperation", f"The instance '{instance_id}' has no keyboard: WakeUp is not supported.")


def no_diagnostic_interrupt(instance_id: str) -> Ec2Error:
    """Refuse a diagnostic interrupt, as types of 64-bit ARM have none here; which code EC2 answers was not found."""
    return Ec2Error("UnsupportedOperation", f"The instance '{instance_id}' does not support diagnostic interrupts.")
