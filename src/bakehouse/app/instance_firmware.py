"""What an instance keeps beside its volumes: the keys of its trusted platform module, its UEFI variables."""

from bakehouse.app.context import AppContext, owned
from bakehouse.domain.caller import Caller
from bakehouse.domain.image_boot import (
    UEFI,
    tpm_missing,
    variables_missing,
    variables_spoilt,
    variables_unsupported,
)
from bakehouse.domain.instance import InstanceState, instance_must_be
from bakehouse.ports.hypervisor import EndorsementKey, UefiDataUnreadable


class InstanceFirmware:
    """Use cases on instances' firmware."""

    def __init__(self, context: AppContext) -> None:
        self._context = context

    async def endorsement_key(self, caller: Caller, instance_id: str, kind: str) -> EndorsementKey:
        """Return the public endorsement key of an instance's NitroTPM, whether or not the instance runs.

        Refuses an instance without one (UnsupportedOperation), and one whose machine was never made or is no more
        (IncorrectInstanceState).
        """
        (instance,) = owned(self._context.store.instances, caller, "instance", [instance_id])
        if instance.tpm_support is None:
            raise tpm_missing(instance.id)
        keys = await self._context.hypervisor.endorsement_keys(instance.id)
        # Its machine's remains are kept for a while, for the console.
        if instance.state is InstanceState.TERMINATED or kind not in keys:
            raise instance_must_be(instance.id, f"{InstanceState.RUNNING}, {InstanceState.STOPPED}")
        return keys[kind]

    async def uefi_data(self, caller: Caller, instance_id: str) -> str:
        """Return an instance's UEFI variables as they are now, as RegisterImage takes them.

        Refuses an instance that booted by BIOS or has spoilt its store (UnsupportedOperation), one whose machine was
        never made or is no more (IncorrectInstanceState), and a host that cannot read stores (Unsupported).
        """
        (instance,) = owned(self._context.store.instances, caller, "instance", [instance_id])
        if instance.current_boot_mode != UEFI:
            raise variables_missing(instance.id)
        guests = (await self._context.hypervisor.capabilities()).guests
        if instance.architecture not in guests or not guests[instance.architecture].has_uefi_data:
            raise variables_unsupported()
        try:
            found = await self._context.hypervisor.uefi_data(instance.id)
        except UefiDataUnreadable as err:
            raise variables_spoilt(instance.id) from err
        if instance.state is InstanceState.TERMINATED or found is None:
            raise instance_must_be(instance.id, f"{InstanceState.RUNNING}, {InstanceState.STOPPED}")
        return found.decode()
