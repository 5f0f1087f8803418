"""Network interfaces: made, attached and detached while machines run, changed, deleted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.following import network_follows
from bakehouse.app.launch_network import (
    InterfaceRequest,
    check_address_count,
    chosen_addresses,
    chosen_ipv6,
    groups_in,
    names_of_groups,
)
from bakehouse.app.private_addresses import PrivateAddresses
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error, incorrect_state, invalid_parameter, malformed_id, missing_parameter
from bakehouse.domain.ids import is_well_formed, new_id
from bakehouse.domain.instance import Instance, InstanceState, instance_must_be
from bakehouse.domain.instance_type import INSTANCE_TYPES, InstanceType
from bakehouse.domain.network_interface import (
    InterfaceAttachmentState,
    InterfaceType,
    NetworkInterface,
    address_limit,
    attachment_not_found,
    device_index_taken,
    interface_in_other_zone,
    interface_in_use,
    interface_kept,
    interface_limit,
    interface_managed,
    interface_needed,
    interface_waits,
    mac_of,
    primary_interface_stays,
)
from bakehouse.domain.security_group import SecurityGroup
from bakehouse.domain.tags import check_tags
from bakehouse.ports.hypervisor import DeviceBusy, MonitorLost
from bakehouse.sagas.apply_network_interface import APPLY_NETWORK_INTERFACE, NetworkInterfaceChange
from bakehouse.sagas.attach_network_interface import ATTACH_NETWORK_INTERFACE, AttachNetworkInterface
from bakehouse.sagas.detach_network_interface import DETACH_NETWORK_INTERFACE, DetachNetworkInterface
from bakehouse.sagas.held_by_fabric import held_by, lost
from bakehouse.sagas.machine import interfaces_of, let_go
from bakehouse.store.records import Record
from bakehouse.store.store import Store, Transaction

#: Addresses that an interface that no instance type limits may have.
#: Source: EC2 User Guide, "Maximum IP addresses per network interface": 50, the most of any type.
ADDRESSES_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceChange:
    """New values of attributes; what is None stays."""

    description: str | None = None
    group_ids: tuple[str, ...] | None = None
    source_dest_check: bool | None = None
    delete_on_termination: tuple[str, bool] | None = None
    """The attachment's id, and whether the interface goes with the instance."""


async def put_interface(context: AppContext, changed: NetworkInterface, *others: Record) -> None:
    """Write an interface and what changes with it; the fabric follows before this returns, where a machine runs."""
    async with context.store.transaction() as tx:
        for record in others:
            tx.put(record)
        saga_id = stage_interface(context, tx, changed)
    await run_in_turn(context, [saga_id], of=changed.id)


async def run_in_turn(context: AppContext, saga_ids: Iterable[str | None], *, of: str) -> None:
    """Let the fabric follow, one interface after the other: what one of them loses may be what the next one gets.

    When all have ended, what the first one that failed has raised is raised: ServiceUnavailable where it is the network
    that failed. `of` is what has changed.
    """
    failures: list[Exception] = []
    for saga_id in saga_ids:
        if saga_id is not None:
            try:
                await context.sagas.run(saga_id)
            except Exception as err:  # noqa: BLE001 - the others' records have changed, too
                failures.append(err)
    with network_follows(of):
        for failure in failures:
            raise failure


def stage_interface(context: AppContext, tx: Transaction, changed: NetworkInterface) -> str | None:
    """Write an interface in a transaction, and return the saga by which the fabric follows, to be run afterwards.

    Until that has ended, nobody else is given an address that the interface loses.
    """
    store = context.store
    before = store.network_interfaces[changed.id]
    tx.put(changed)
    if changed.instance_id is None:
        return None
    change = NetworkInterfaceChange(
        interface_id=changed.id, instance_id=changed.instance_id, after=held_by(store, changed)
    )
    return context.sagas.enlist(
        tx, APPLY_NETWORK_INTERFACE, change, subject_id=changed.instance_id, holds=lost(before, changed)
    )


def only_interface(store: Store, instance: Instance) -> NetworkInterface:
    """Return the interface of an instance that has one, for requests that name the instance in its place.

    Source: EC2 API Reference, AssociateAddress and ModifyInstanceAttribute; wording as AWS answers it.
    """
    interfaces = interfaces_of(store, instance.id)
    if len(interfaces) > 1:
        raise Ec2Error(
            "InvalidInstanceID",
            f"There are multiple interfaces attached to instance '{instance.id}'. Please specify an interface ID for "
            "the operation instead.",
        )
    if not interfaces:
        raise instance_must_be(instance.id, "running', 'stopped")
    return interfaces[0]


def with_groups(
    context: AppContext, caller: Caller, interface: NetworkInterface, group_ids: Iterable[str]
) -> NetworkInterface:
    """Return it with these groups; at least one."""
    wanted = tuple(dict.fromkeys(group_ids))
    if not wanted:
        raise missing_parameter("groupId")
    groups = groups_in(context, caller, wanted, context.store.subnets[interface.subnet_id])
    return replace(interface, group_ids=tuple(group.id for group in groups))


def check_interfaces(instance_type: InstanceType, interfaces: Sequence[NetworkInterface]) -> None:
    """Refuse more interfaces, or more addresses on one, than an instance type allows."""
    if len(interfaces) > instance_type.max_interfaces:
        raise interface_limit(instance_type.name, instance_type.max_interfaces)
    most = instance_type.addresses_per_interface
    if any(max(len(it.private_ips), len(it.ipv6_addresses)) > most for it in interfaces):
        raise address_limit(most)


def address_count_limit(context: AppContext, interface: NetworkInterface) -> int:
    """Return how many addresses of a family it may have: its instance's type limits it once it is attached."""
    if interface.instance_id is None:
        return ADDRESSES_MAX
    return INSTANCE_TYPES[context.store.instances[interface.instance_id].type].addresses_per_interface


class NetworkInterfaces:
    """Use cases on network interfaces."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def create(self, caller: Caller, request: InterfaceRequest, tags: Mapping[str, str]) -> NetworkInterface:
        """Make a free interface in a subnet.

        Refuses groups of another VPC, addresses that are in use (InvalidIPAddress.InUse) or not the subnet's, and a
        subnet that is full.
        """
        check_tags(tags)
        check_address_count(request, ADDRESSES_MAX)
        store = self._context.store
        (subnet,) = owned(store.subnets, caller, "subnet", [request.subnet_id or ""])
        groups = [group.id for group in groups_in(self._context, caller, request.group_ids, subnet)]
        addresses = PrivateAddresses(store)
        async with store.transaction() as tx:
            private_ip, *secondary_ips = chosen_addresses(addresses, subnet, request)
            interface = NetworkInterface(
                id=new_id("network-interface"),
                account_id=caller.account_id,
                region=caller.region,
                vpc_id=subnet.vpc_id,
                subnet_id=subnet.id,
                availability_zone=subnet.availability_zone,
                mac=mac_of(subnet.vpc_id, private_ip),
                private_ip=private_ip,
                secondary_ips=tuple(secondary_ips),
                ipv6_addresses=chosen_ipv6(addresses, subnet, request),
                group_ids=tuple(groups) or (names_of_groups(self._context, subnet.vpc_id)["default"],),
                description=request.description,
                tags=dict(tags),
            )
            tx.put(interface)
            tx.remember(caller, interface.id, self._context.now().timestamp())
        return interface

    def describe(self, caller: Caller, interface_ids: Iterable[str] | None = None) -> list[NetworkInterface]:
        """Return the caller's interfaces, all or these."""
        interfaces = self._context.store.network_interfaces
        if interface_ids is None:
            return scope(interfaces, caller)
        return owned(interfaces, caller, "network-interface", interface_ids)

    def groups_of(self, interface: NetworkInterface) -> tuple[SecurityGroup, ...]:
        """Return its groups, in its order."""
        groups = (self._context.store.security_groups.get(group_id) for group_id in interface.group_ids)
        return tuple(group for group in groups if group is not None)

    async def delete(self, caller: Caller, interface_id: str) -> None:
        """Delete a free interface: InvalidParameterValue if it is attached. Its Elastic IPs lead nowhere then."""
        interface = self.changeable(caller, interface_id)
        if interface.instance_id is not None:
            raise interface_needed(interface.id)
        async with self._context.store.transaction() as tx:
            let_go(tx, self._context.store, interface, delete=True)

    async def attach(self, caller: Caller, interface_id: str, instance_id: str, device_index: int) -> NetworkInterface:
        """Attach a free interface to a running or stopped instance and return it as it was then: `attaching`.

        Refuses an interface in use (InvalidNetworkInterface.InUse) or in another zone, a device index in use, more
        interfaces or addresses than the instance type allows, and an instance in another state (IncorrectState).
        """
        store = self._context.store
        interface = self.changeable(caller, interface_id)
        (instance,) = owned(store.instances, caller, "instance", [instance_id])
        self._check_attachable(interface, instance, device_index)
        attaching = replace(
            interface,
            instance_id=instance.id,
            attachment_id=new_id("network-interface-attachment"),
            attached_at=self._context.now().replace(microsecond=0),
            attachment_state=InterfaceAttachmentState.ATTACHING,
            device_index=device_index,
            delete_on_termination=False,
        )
        params = AttachNetworkInterface(interface_id=interface.id, instance_id=instance.id)
        async with store.transaction() as tx:
            tx.put(attaching)
            saga_id = self._context.sagas.enlist(tx, ATTACH_NETWORK_INTERFACE, params, subject_id=instance.id)
        try:
            await self._context.sagas.run(saga_id)
        except DeviceBusy as err:
            raise incorrect_state(f"Instance '{instance.id}' has no port left. Stop and start it.") from err
        except MonitorLost as err:
            raise incorrect_state(f"Instance '{instance.id}' is not 'running'.") from err
        return attaching

    async def detach(self, caller: Caller, attachment_id: str, *, force: bool = False) -> None:
        """Detach an interface; it is free when this returns.

        Refuses the primary interface (OperationNotPermitted), and one that the guest keeps (IncorrectState), which is
        attached then as before; with `force` the guest is not asked.
        """
        interface = self._attached(caller, attachment_id)
        instance_id = interface.instance_id
        if instance_id is None or interface.device_index == 0:
            raise primary_interface_stays(attachment_id)
        if interface.attachment_state is not InterfaceAttachmentState.ATTACHED:
            raise incorrect_state(f"The attachment '{attachment_id}' is {interface.attachment_state}.")
        params = DetachNetworkInterface(interface_id=interface.id, instance_id=instance_id, force=force)
        async with self._context.store.transaction() as tx:
            tx.put(replace(interface, attachment_state=InterfaceAttachmentState.DETACHING))
            saga_id = self._context.sagas.enlist(tx, DETACH_NETWORK_INTERFACE, params, subject_id=instance_id)
        try:
            await self._context.sagas.run(saga_id)
        except DeviceBusy as err:
            raise interface_kept(interface.id, instance_id) from err

    async def modify(self, caller: Caller, interface_id: str, change: InterfaceChange) -> None:
        """Change attributes. Groups and the check of sources hold for a running machine before this returns."""
        interface = self.changeable(caller, interface_id)
        changed = interface
        if change.description is not None:
            changed = replace(changed, description=change.description)
        if change.group_ids is not None:
            changed = with_groups(self._context, caller, changed, change.group_ids)
        if change.source_dest_check is not None:
            changed = replace(changed, source_dest_check=change.source_dest_check)
        if change.delete_on_termination is not None:
            attachment_id, goes = change.delete_on_termination
            if interface.attachment_id != attachment_id:
                raise attachment_not_found(attachment_id)
            changed = replace(changed, delete_on_termination=goes)
        if changed != interface:
            await put_interface(self._context, changed)

    def changeable(self, caller: Caller, interface_id: str) -> NetworkInterface:
        """Return one of the caller's interfaces that is no service's own: OperationNotPermitted."""
        (interface,) = owned(self._context.store.network_interfaces, caller, "network-interface", [interface_id])
        if interface.type is not InterfaceType.INTERFACE:
            raise interface_managed(interface.id)
        return interface

    def _attached(self, caller: Caller, attachment_id: str) -> NetworkInterface:
        if not is_well_formed(attachment_id, "network-interface-attachment"):
            raise malformed_id("network-interface-attachment", attachment_id)
        for interface in scope(self._context.store.network_interfaces, caller):
            if interface.attachment_id == attachment_id:
                return interface
        raise attachment_not_found(attachment_id)

    def _check_attachable(self, interface: NetworkInterface, instance: Instance, device_index: int) -> None:
        if interface.instance_id is not None:
            raise interface_in_use(interface.id)
        if held_by(self._context.store, interface):
            raise interface_waits(interface.id)
        if instance.state not in (InstanceState.RUNNING, InstanceState.STOPPED):
            raise incorrect_state(f"Instance '{instance.id}' is not 'running'.")
        if interface.availability_zone != instance.availability_zone:
            raise interface_in_other_zone(interface.id, instance.id)
        if device_index < 0:
            raise invalid_parameter(f"Invalid value '{device_index}' for deviceIndex. It must not be negative.")
        others = interfaces_of(self._context.store, instance.id)
        if any(other.device_index == device_index for other in others):
            raise device_index_taken(instance.id, device_index)
        check_interfaces(INSTANCE_TYPES[instance.type], [*others, interface])
