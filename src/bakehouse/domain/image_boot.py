"""How an image says that its instances begin: boot mode, trusted platform module, UEFI variables.

Source: EC2 User Guide, "Instance launch behavior with Amazon EC2 boot modes", "NitroTPM", "UEFI Secure Boot".
"""

from collections.abc import Collection
from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_combination, invalid_parameter, invalid_value
from bakehouse.domain.image import Image
from bakehouse.domain.instance_type import InstanceType
from bakehouse.domain.uefi_data import check_uefi_data

LEGACY_BIOS: Final = "legacy-bios"
UEFI: Final = "uefi"
UEFI_PREFERRED: Final = "uefi-preferred"

BOOT_MODES: Final = (LEGACY_BIOS, UEFI, UEFI_PREFERRED)


def check_boot_members(*, boot_mode: str | None, tpm_support: str | None, uefi_data: str | None) -> None:
    """Refuse what RegisterImage refuses.

    A platform module needs the boot mode `uefi`, and `uefi-preferred` will not do (seen by the authors of Flatcar,
    flatcar/mantle pull request 582); a variable store needs one of the two.
    """
    if boot_mode is not None and boot_mode not in BOOT_MODES:
        raise invalid_value(boot_mode, "bootMode", f"It can be {', '.join(BOOT_MODES)}.")
    if tpm_support is not None:
        if tpm_support != "v2.0":
            raise invalid_value(tpm_support, "tpmSupport", "It can be v2.0.")
        if boot_mode != UEFI:
            raise invalid_combination("The parameter tpmSupport requires the boot mode uefi.")
    if uefi_data is not None:
        if boot_mode not in (UEFI, UEFI_PREFERRED):
            raise invalid_combination("The parameter uefiData requires the boot mode uefi or uefi-preferred.")
        check_uefi_data(uefi_data)


def current_boot_mode(image: Image, instance_type: InstanceType, here: Collection[str]) -> str:
    """Return how an instance of this image and type begins: `legacy-bios` or `uefi`.

    An image that says nothing begins as its type does by default; `uefi-preferred` takes legacy BIOS where the type, or
    this host, has no UEFI. `here` are the modes that the host has firmware for. Refuses what the type does not have
    (InvalidParameterValue) and what only the host lacks (Unsupported).
    Source: EC2 User Guide, "Instance launch behavior with Amazon EC2 boot modes".
    """
    wanted = {
        None: instance_type.boot_modes[:1],
        LEGACY_BIOS: (LEGACY_BIOS,),
        UEFI: (UEFI,),
        UEFI_PREFERRED: (UEFI, LEGACY_BIOS),
    }[image.boot_mode]
    possible = [mode for mode in wanted if mode in instance_type.boot_modes]
    if not possible:
        raise boot_mode_not_supported(instance_type.name, wanted[0])
    for mode in possible:
        if mode in here:
            return mode
    raise firmware_missing(image.architecture, possible[0])


def check_override(boot_mode: str | None, current: str) -> None:
    """Refuse to say of an instance's image that it boots otherwise than the instance did: InvalidParameterCombination.

    Source: EC2 API Reference, CreateImage, BootModeOverride: `uefi` alone, of an instance that booted so.
    """
    if boot_mode is not None and (boot_mode != UEFI or current != UEFI):
        raise invalid_combination(f"The parameter bootModeOverride requires an instance that booted by {UEFI}.")


def boot_mode_not_supported(instance_type: str, boot_mode: str) -> Ec2Error:
    """Source: what AWS answers to a launch of a UEFI image on t2.micro (RhinoSecurityLabs/cloudgoat issue 247)."""
    name = {UEFI: "UEFI", LEGACY_BIOS: "Legacy BIOS"}[boot_mode]
    return invalid_parameter(
        f"The {instance_type} instance type does not support an AMI with a boot mode of {name}. Specify an instance "
        f"type that supports {name}, and try again."
    )


def firmware_missing(architecture: str, boot_mode: str) -> Ec2Error:
    """Refuse what EC2 has and this host has not. Source: EC2 API Reference, Error codes, Unsupported."""
    return Ec2Error(
        "Unsupported",
        f"This host has no {boot_mode} firmware for {architecture} machines. `bakehouse doctor` says what to install.",
    )


def host_unable(reason: str) -> Ec2Error:
    """Refuse a machine of which only its start tells that this host has not what it needs, such as Secure Boot.

    Source: EC2 API Reference, Error codes, Unsupported.
    """
    return Ec2Error("Unsupported", f"{reason[:1].upper()}{reason[1:]}. `bakehouse doctor` says what to install.")


def emulator_missing(architecture: str) -> Ec2Error:
    """Refuse an architecture that this host has no hypervisor for; the code is EC2's for what it does not offer."""
    return Ec2Error(
        "Unsupported", f"This host cannot run {architecture} machines. `bakehouse doctor` says what to install."
    )


def check_tpm(image: Image, instance_type: InstanceType, *, here: bool) -> None:
    """Refuse an image that asks for a platform module which its type, or this host, does not have."""
    if image.tpm_support is None:
        return
    if not instance_type.has_tpm:
        raise tpm_not_supported(instance_type.name)
    if not here:
        raise Ec2Error(
            "Unsupported",
            "This host has no emulator of trusted platform modules. `bakehouse doctor` says what to install.",
        )


def tpm_not_supported(instance_type: str) -> Ec2Error:
    """Refuse a type that has no NitroTPM, as one that does not have the boot mode."""
    return invalid_parameter(
        f"The {instance_type} instance type does not support NitroTPM. Specify an instance type that supports NitroTPM "
        "and try again."
    )


def tpm_missing(instance_id: str) -> Ec2Error:
    """Refuse what only an instance with a NitroTPM has; the code is EC2's for what an instance does not support."""
    return Ec2Error("UnsupportedOperation", f"The instance '{instance_id}' does not have NitroTPM enabled.")


def check_variables(image: Image, boot_mode: str, *, here: bool) -> None:
    """Refuse an image that brings UEFI variables which this host cannot put into its machines."""
    if image.uefi_data is not None and boot_mode == UEFI and not here:
        raise variables_unsupported()


def variables_unsupported() -> Ec2Error:
    """Refuse what needs the program that reads and writes UEFI variables."""
    return Ec2Error(
        "Unsupported",
        "This host cannot read and write UEFI variable stores. `bakehouse doctor` says what to install.",
    )


def variables_missing(instance_id: str) -> Ec2Error:
    """Refuse to tell the UEFI variables of an instance that has none."""
    return Ec2Error("UnsupportedOperation", f"The instance '{instance_id}' did not boot by {UEFI}.")


def variables_spoilt(instance_id: str) -> Ec2Error:
    """Refuse to tell what a guest has written over its UEFI variables."""
    return Ec2Error("UnsupportedOperation", f"The UEFI variable store of the instance '{instance_id}' is damaged.")
