"""Instance metadata: what the records tell a guest about its own instance."""

from typing import Final

from bakehouse.app.context import AppContext
from bakehouse.app.login_keys import LoginKeys
from bakehouse.app.public_names import naming_of
from bakehouse.app.role_sessions import RoleSessions
from bakehouse.domain.instance import Instance, InstanceState
from bakehouse.domain.instance_event import shown_events
from bakehouse.domain.instance_metadata import InstanceMetadata, InterfaceMetadata
from bakehouse.domain.network_interface import NetworkInterface
from bakehouse.domain.spot_request import Interruption
from bakehouse.domain.volume import AttachmentState
from bakehouse.sagas.machine import interfaces_of

_HELD: Final = frozenset({AttachmentState.ATTACHING, AttachmentState.ATTACHED, AttachmentState.BUSY})


class Metadata:
    """The use case of a guest that asks about itself."""

    def __init__(self, context: AppContext, sessions: RoleSessions, login_keys: LoginKeys) -> None:
        """Read these records; `sessions` makes credentials, `login_keys` has the keys that were sent."""
        self._context = context
        self._store = context.store
        self._now = context.now
        self._sessions = sessions
        self._login_keys = login_keys

    def of(self, vpc_id: str, private_ip: str) -> InstanceMetadata | None:
        """Return the metadata of the instance that has this address in this VPC; None when there is none.

        It is the same at each of the instance's addresses.
        """
        for interface in self._store.network_interfaces.by("address")[vpc_id, private_ip].values():
            instance = self._store.instances.get(interface.instance_id or "")
            if instance is not None and instance.state is not InstanceState.TERMINATED:
                return self._gather(instance)
        return None

    def _gather(self, instance: Instance) -> InstanceMetadata:
        return InstanceMetadata(
            instance=instance,
            interfaces=tuple(map(self._interface, interfaces_of(self._store, instance.id))),
            data_devices=self._data_devices(instance),
            ephemeral_devices=self._ephemeral_devices(instance),
            credentials=self._sessions.of_instance(instance),
            events=tuple(shown_events(instance.events, self._now())),
            login_keys=self._login_keys.of(instance.id),
            interruption=self._interruption(instance),
        )

    def _interruption(self, instance: Instance) -> Interruption | None:
        request = self._store.spot_requests.get(instance.spot_request_id or "")
        return None if request is None else request.interruption

    def _interface(self, interface: NetworkInterface) -> InterfaceMetadata:
        store = self._store
        groups = (store.security_groups.get(group_id) for group_id in interface.group_ids)
        return InterfaceMetadata(
            interface=interface,
            vpc=store.vpcs[interface.vpc_id],
            subnet=store.subnets[interface.subnet_id],
            groups=tuple(group for group in groups if group is not None),
            naming=naming_of(self._context, interface.vpc_id),
        )

    def _data_devices(self, instance: Instance) -> tuple[str, ...]:
        volumes = self._store.volumes.by("instance")[instance.id].values()
        attachments = (volume.attachment for volume in volumes if volume.attachment is not None)
        names = {attachment.device_name for attachment in attachments if attachment.state in _HELD}
        return tuple(sorted(names - {instance.root_device_name}))

    def _ephemeral_devices(self, instance: Instance) -> tuple[tuple[str, str], ...]:
        """Return what the mapping calls instance store, whether the type has it or not: EC2 lists it all the same."""
        if instance.ephemeral_devices:
            return instance.ephemeral_devices
        image = self._store.images.get(instance.image_id)
        devices = () if image is None else image.block_devices
        return tuple(
            sorted(
                (device.virtual_name, device.device_name)
                for device in devices
                if device.virtual_name is not None and device.virtual_name.startswith("ephemeral")
            )
        )
