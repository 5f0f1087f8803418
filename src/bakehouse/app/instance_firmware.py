"""What an instance keeps beside its volumes: the keys of its trusted platform module."""

from bakehouse.app.context import AppContext, owned
from bakehouse.domain.caller import Caller
from bakehouse.domain.image_boot import tpm_missing
from bakehouse.domain.instance import InstanceState, instance_must_be
from bakehouse.ports.hypervisor import EndorsementKey


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
