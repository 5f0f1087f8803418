"""How an image says that its instances begin: boot mode, trusted platform module, UEFI variables.

Source: EC2 User Guide, "Instance launch behavior with Amazon EC2 boot modes", "NitroTPM", "UEFI Secure Boot".
"""

import binascii
from base64 import b64decode
from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_combination, invalid_parameter, invalid_value

LEGACY_BIOS: Final = "legacy-bios"
UEFI: Final = "uefi"
UEFI_PREFERRED: Final = "uefi-preferred"

BOOT_MODES: Final = (LEGACY_BIOS, UEFI, UEFI_PREFERRED)

#: Source: EC2 API model, ImageUefiDataRequest: characters of base64.
UEFI_DATA_MAX: Final = 64_000


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
        _check_uefi_data(uefi_data, boot_mode)


def _check_uefi_data(uefi_data: str, boot_mode: str | None) -> None:
    if boot_mode not in (UEFI, UEFI_PREFERRED):
        raise invalid_combination("The parameter uefiData requires the boot mode uefi or uefi-preferred.")
    if len(uefi_data) > UEFI_DATA_MAX:
        raise invalid_parameter(f"The parameter uefiData can have {UEFI_DATA_MAX} characters at most.")
    try:
        b64decode(uefi_data, validate=True)
    except (binascii.Error, ValueError) as err:
        raise invalid_parameter("The parameter uefiData is not valid base64.") from err


def check_boots(boot_mode: str | None, instance_type: str) -> None:
    """Refuse to launch an image that boots by UEFI alone: no instance type here has such firmware.

    `uefi-preferred` boots by BIOS where the type cannot do otherwise, as on EC2. Wording as AWS answers it.
    """
    if boot_mode == UEFI:
        raise boot_mode_not_supported(instance_type)


def boot_mode_not_supported(instance_type: str) -> Ec2Error:
    """Source: what AWS answers to a launch of a UEFI image on t2.micro (RhinoSecurityLabs/cloudgoat issue 247)."""
    return invalid_parameter(
        f"The {instance_type} instance type does not support an AMI with a boot mode of UEFI. Specify an instance type "
        "that supports UEFI, and try again."
    )
