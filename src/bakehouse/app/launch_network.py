"""Where a launch puts its instances: subnets, groups, interfaces, addresses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bakehouse.app.context import AppContext, owned
from bakehouse.app.private_addresses import PrivateAddresses
from bakehouse.app.public_addresses import PublicAddresses
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error, invalid_combination, invalid_parameter, invalid_value
from bakehouse.domain.ids import new_id
from bakehouse.domain.instance import Instance
from bakehouse.domain.instance_type import InstanceType
from bakehouse.domain.network import (
    Subnet,
    group_in_other_network,
    no_default_subnet,
    no_default_vpc,
    public_addresses_used_up,
)
from bakehouse.domain.network_interface import (
    NetworkInterface,
    address_limit,
    interface_in_use,
    interface_limit,
    interface_waits,
    mac_of,
)
from bakehouse.domain.region import zones
from bakehouse.domain.security_group import SecurityGroup, group_name_not_found
from bakehouse.sagas.held_by_fabric import held_by


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceRequest:
    """One network interface that a request wants; what is None or empty is chosen."""

    device_index: int = 0
    network_interface_id: str | None = None
    """An interface that is there; then nothing else is given but the device index and what becomes of it."""
    subnet_id: str | None = None
    group_ids: tuple[str, ...] = ()
    private_ip: str | None = None
    secondary_ips: tuple[str, ...] = ()
    secondary_count: int = 0
    ipv6_addresses: tuple[str, ...] = ()
    ipv6_count: int | None = None
    """None: one if its subnet gives one to each interface."""
    associate_public_ip: bool | None = None
    delete_on_termination: bool | None = None
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceRequest:
    """Where a request wants its instances; what is None is chosen. With `interfaces` they say all but the zone."""

    subnet_id: str | None = None
    availability_zone: str | None = None
    group_ids: tuple[str, ...] = ()
    group_names: tuple[str, ...] = ()
    private_ip: str | None = None
    ipv6_addresses: tuple[str, ...] = ()
    ipv6_count: int | None = None
    interfaces: tuple[InterfaceRequest, ...] = ()

    def wanted(self) -> tuple[InterfaceRequest, ...]:
        """Return the interfaces by device index, the first at 0."""
        if not self.interfaces:
            return (
                InterfaceRequest(
                    subnet_id=self.subnet_id,
                    group_ids=self.group_ids,
                    private_ip=self.private_ip,
                    ipv6_addresses=self.ipv6_addresses,
                    ipv6_count=self.ipv6_count,
                ),
            )
        return tuple(sorted(self.interfaces, key=lambda it: it.device_index))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedInterface:
    """An interface of an instance to be launched: one that is there, or a new one with everything chosen."""

    id: str
    request: InterfaceRequest
    existing: NetworkInterface | None
    subnet: Subnet
    group_ids: tuple[str, ...]
    private_ips: tuple[str, ...]
    ipv6_addresses: tuple[str, ...]
    public_ip: str | None
    wants_public_ip: bool

    def record(self, instance: Instance, tags: Mapping[str, str], now: datetime) -> NetworkInterface:
        """Return it attached to the instance. Tags are for new ones."""
        interface = self.existing or NetworkInterface(
            id=self.id,
            account_id=instance.account_id,
            region=instance.region,
            vpc_id=self.subnet.vpc_id,
            subnet_id=self.subnet.id,
            availability_zone=self.subnet.availability_zone,
            mac=mac_of(self.subnet.vpc_id, self.private_ips[0]),
            private_ip=self.private_ips[0],
            secondary_ips=self.private_ips[1:],
            ipv6_addresses=self.ipv6_addresses,
            public_ip=self.public_ip,
            wants_public_ip=self.wants_public_ip,
            group_ids=self.group_ids,
            description=self.request.description,
            tags=dict(tags),
        )
        goes = self.request.delete_on_termination
        return replace(
            interface,
            instance_id=instance.id,
            attachment_id=new_id("network-interface-attachment"),
            attached_at=now,
            device_index=self.request.device_index,
            delete_on_termination=self.existing is None if goes is None else goes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the instances of a launch go."""

    subnet: Subnet
    """That of the interfaces with device index 0."""
    interfaces: tuple[tuple[PlannedInterface, ...], ...]
    """For each instance its interfaces by device index."""

    def existing_ids(self, number: int) -> tuple[str, ...]:
        """Return which interfaces of an instance are there before its launch."""
        return tuple(it.id for it in self.interfaces[number] if it.existing is not None)


def choose(
    context: AppContext,
    caller: Caller,
    request: PlaceRequest,
    counts: tuple[int, int],
    pool: PublicAddresses,
    instance_type: InstanceType,
) -> Place:
    """Return where to launch as many of `counts` (at least, at most) as there are addresses for."""
    wanted = request.wanted()
    _check(wanted, counts[1], instance_type)
    planner = _Planner(context, caller, request, pool)
    found: list[tuple[PlannedInterface, ...]] = []
    for number in range(counts[1]):
        try:
            found.append(planner.plan(wanted))
        except Ec2Error:
            if number < counts[0]:
                raise
            break
    return Place(subnet=found[0][0].subnet, interfaces=tuple(found))


def _check(wanted: Sequence[InterfaceRequest], most: int, instance_type: InstanceType) -> None:
    """Source: EC2 API Reference, InstanceNetworkInterfaceSpecification; wording as AWS answers it."""
    if wanted[0].device_index != 0:
        raise invalid_combination("When specifying network interfaces, you must include a device at index 0.")
    if len({it.device_index for it in wanted}) < len(wanted):
        raise invalid_parameter("Each network interface requires a unique device index.")
    if len(wanted) > instance_type.max_interfaces:
        raise interface_limit(instance_type.name, instance_type.max_interfaces)
    for it in wanted:
        if it.associate_public_ip is not None and (len(wanted) > 1 or it.network_interface_id is not None):
            raise invalid_combination(
                "The associatePublicIPAddress parameter cannot be specified when launching with multiple network "
                "interfaces, or with one that exists."
            )
        if most > 1 and (it.private_ip or it.secondary_ips or it.ipv6_addresses or it.network_interface_id):
            raise invalid_combination(
                "A private IP address or a network interface can be given for one instance only, not for several"
            )
        check_address_count(it, instance_type.addresses_per_interface)


def check_not_negative(count: int) -> None:
    """Refuse to assign less than no addresses."""
    if count < 0:
        raise invalid_value(count, "addressCount", "It must not be negative.")


def check_address_count(request: InterfaceRequest, most: int) -> None:
    """Refuse more addresses than an interface may have, less than none, and secondary ones both given and counted."""
    check_not_negative(request.secondary_count)
    check_not_negative(request.ipv6_count or 0)
    if request.secondary_ips and request.secondary_count:
        raise invalid_combination("Secondary private addresses can be given or counted, not both")
    ipv6_count = len(request.ipv6_addresses) + (request.ipv6_count or 0)
    if max(1 + len(request.secondary_ips) + request.secondary_count, ipv6_count) > most:
        raise address_limit(most)


def chosen_addresses(addresses: PrivateAddresses, subnet: Subnet, request: InterfaceRequest) -> tuple[str, ...]:
    """Take the private IPv4 addresses of a new interface, the primary one first."""
    primary = (request.private_ip,) if request.private_ip else ()
    given = addresses.take(subnet, (*primary, *request.secondary_ips))
    free = addresses.take_free(subnet, request.secondary_count + (0 if request.private_ip else 1))
    return (*given, *free) if request.private_ip else (*free[:1], *given, *free[1:])


def chosen_ipv6(addresses: PrivateAddresses, subnet: Subnet, request: InterfaceRequest) -> tuple[str, ...]:
    """Take the IPv6 addresses of a new interface. Source: VPC User Guide, "Modify the IP addressing attributes"."""
    if request.ipv6_addresses and request.ipv6_count:
        raise invalid_combination("IPv6 addresses can be given or counted, not both")
    if request.ipv6_addresses:
        return addresses.take_ipv6(subnet, request.ipv6_addresses)
    count = int(subnet.assign_ipv6) if request.ipv6_count is None else request.ipv6_count
    return addresses.take_free_ipv6(subnet, count)


class _Planner:
    """Plans the interfaces of one instance after the other."""

    def __init__(self, context: AppContext, caller: Caller, request: PlaceRequest, pool: PublicAddresses) -> None:
        self._context = context
        self._caller = caller
        self._request = request
        self._addresses = PrivateAddresses(context.store)
        self._public = pool.free()
        self._group_ids: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}

    def plan(self, wanted: Sequence[InterfaceRequest]) -> tuple[PlannedInterface, ...]:
        planned: list[PlannedInterface] = []
        for request in wanted:
            interface = (
                self._new(request, planned[0].subnet if planned else None, alone=len(wanted) == 1)
                if request.network_interface_id is None
                else self._existing(request, request.network_interface_id)
            )
            if planned and interface.subnet.availability_zone != planned[0].subnet.availability_zone:
                raise invalid_combination("The network interfaces of an instance must be in one availability zone")
            planned.append(interface)
        if len({it.id for it in planned}) < len(planned):
            raise interface_in_use(planned[-1].id)
        return tuple(planned)

    def _existing(self, request: InterfaceRequest, interface_id: str) -> PlannedInterface:
        store = self._context.store
        (interface,) = owned(store.network_interfaces, self._caller, "network-interface", [interface_id])
        if request.subnet_id or request.group_ids or request.private_ip or request.secondary_ips:
            raise invalid_combination(
                "A network interface may not specify a network interface ID and a subnet, groups or addresses"
            )
        if interface.status != "available":
            raise interface_in_use(interface.id)
        if held_by(store, interface):
            raise interface_waits(interface.id)
        subnet = store.subnets[interface.subnet_id]
        _check_zone(self._request.availability_zone, subnet)
        return PlannedInterface(
            id=interface.id,
            request=request,
            existing=interface,
            subnet=subnet,
            group_ids=interface.group_ids,
            private_ips=interface.private_ips,
            ipv6_addresses=interface.ipv6_addresses,
            public_ip=interface.public_ip,
            wants_public_ip=False,
        )

    def _new(self, request: InterfaceRequest, beside: Subnet | None, *, alone: bool) -> PlannedInterface:
        if request.subnet_id is None and beside is not None:
            subnet = beside
        else:
            subnet = _subnet(self._context, self._caller, request.subnet_id, self._request.availability_zone)
        private_ips = chosen_addresses(self._addresses, subnet, request)
        # Source: EC2 User Guide, "Assign a public IPv4 address at launch": not with several interfaces.
        wants_public_ip = alone and (
            subnet.map_public_ip if request.associate_public_ip is None else request.associate_public_ip
        )
        public_ip = next(self._public, None) if wants_public_ip else None
        if wants_public_ip and public_ip is None:
            raise public_addresses_used_up()
        return PlannedInterface(
            id=new_id("network-interface"),
            request=request,
            existing=None,
            subnet=subnet,
            group_ids=self._groups(request, subnet),
            private_ips=private_ips,
            ipv6_addresses=chosen_ipv6(self._addresses, subnet, request),
            public_ip=public_ip,
            wants_public_ip=wants_public_ip,
        )

    def _groups(self, request: InterfaceRequest, subnet: Subnet) -> tuple[str, ...]:
        key = subnet.id, request.group_ids
        if key not in self._group_ids:
            names = self._request.group_names
            in_vpc = None if self._request.subnet_id is None else subnet.vpc_id
            found = [group.id for group in groups_in(self._context, self._caller, request.group_ids, subnet)]
            by_name = names_of_groups(self._context, subnet.vpc_id)
            for name in names:
                if name not in by_name:
                    raise group_name_not_found(name, in_vpc)
                found.append(by_name[name])
            self._group_ids[key] = tuple(dict.fromkeys(found)) or (by_name["default"],)
        return self._group_ids[key]


def _subnet(context: AppContext, caller: Caller, subnet_id: str | None, zone: str | None) -> Subnet:
    if zone is not None and zone not in zones(caller.region):
        raise invalid_parameter(f"Invalid availability zone: [{zone}]")
    if subnet_id is not None:
        (subnet,) = owned(context.store.subnets, caller, "subnet", [subnet_id])
        _check_zone(zone, subnet)
        return subnet
    place = caller.account_id, caller.region
    if not context.store.vpcs.by("default")[place]:
        raise no_default_vpc()
    for wanted in zones(caller.region) if zone is None else (zone,):
        for subnet in context.store.subnets.by("default")[*place, wanted].values():
            return subnet
    raise no_default_subnet(zone or zones(caller.region)[0])


def _check_zone(zone: str | None, subnet: Subnet) -> None:
    if zone is not None and zone != subnet.availability_zone:
        raise invalid_parameter(
            f"The availability zone '{zone}' does not match the subnet's, '{subnet.availability_zone}'"
        )


def names_of_groups(context: AppContext, vpc_id: str) -> dict[str, str]:
    """Return the ids of a VPC's groups by their names."""
    return {group.name: group.id for group in context.store.security_groups.by("vpc")[vpc_id].values()}


def groups_in(context: AppContext, caller: Caller, group_ids: Sequence[str], subnet: Subnet) -> list[SecurityGroup]:
    """Return the caller's groups of these ids, refusing those of another VPC than the subnet's."""
    groups = owned(context.store.security_groups, caller, "security-group", group_ids)
    for group in groups:
        if group.vpc_id != subnet.vpc_id:
            raise group_in_other_network(group.id, subnet.id)
    return groups
