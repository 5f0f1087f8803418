"""Which instances can hibernate, and what is refused of those that do.

Source, where no other is named: EC2 User Guide, "Prerequisites for EC2 instance hibernation" and "How Amazon EC2
instance hibernation works".
"""

from typing import Final

from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.instance_type import InstanceType

#: Families that came before it, or store on disks of their own what sleep would lose.
_NEVER: Final = frozenset({"t1", "m1", "a1", "i2", "d2", "d3", "z1d", "x2gd"})

#: "RAM must be less than 150 GiB".
_MEMORY_MAX_MIB: Final = 150 * 1024


def can_hibernate(instance_type: InstanceType) -> bool:
    """Whether instances of this type can be enabled for hibernation."""
    family = instance_type.name.partition(".")[0]
    return family not in _NEVER and instance_type.memory_mib < _MEMORY_MAX_MIB


def check_hibernation(
    instance_type: InstanceType,
    *,
    root_encrypted: bool,
    root_gib: int,
    has_tpm: bool,
    has_local_disks: bool,
    is_spot: bool,
) -> None:
    """Refuse to enable an instance for hibernation that cannot do that: UnsupportedHibernationConfiguration.

    A trusted platform module keeps what it knows to itself, a one-time Spot Instance is never stopped, and local disks
    end with their machine: their programs would wake up to empty ones.
    """
    if not can_hibernate(instance_type):
        raise unsupported(f"Hibernation is not supported for the instance type {instance_type.name}.")
    if not root_encrypted:
        # Wording as AWS answers it.
        raise unsupported("For hibernation, the root device volume must be encrypted.")
    if root_gib * 1024 < instance_type.memory_mib:
        raise unsupported("For hibernation, the root device volume must be large enough to store the RAM contents.")
    if has_tpm:
        raise unsupported("Hibernation is not supported for instances with NitroTPM.")
    if has_local_disks:
        raise unsupported("Hibernation is not supported for instances with instance store volumes.")
    if is_spot:
        raise unsupported("Hibernation is not supported for one-time Spot Instances.")


def unsupported(message: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, UnsupportedHibernationConfiguration."""
    return Ec2Error("UnsupportedHibernationConfiguration", message)


def not_enabled(instance_id: str) -> Ec2Error:
    """Refuse to hibernate an instance that was not enabled for that. Wording as AWS answers it."""
    return unsupported(
        f"The instance can't be hibernated because it was not configured at launch for hibernation: {instance_id}"
    )


def is_hibernated(instance_id: str) -> Ec2Error:
    """Refuse what a hibernated instance does not allow: another type or other processors, and images of it.

    With other processors its memory could not be gone on with.
    """
    return Ec2Error(
        "IncorrectInstanceState",
        f"The instance '{instance_id}' is hibernated. Start it, and stop it without hibernating, to do this.",
    )
