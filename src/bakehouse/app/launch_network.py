"""Where a launch puts its instances: subnet, groups, addresses."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, repeat

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.public_addresses import PublicAddresses
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import invalid_combination, invalid_parameter
from bakehouse.domain.network import (
    Subnet,
    address_in_use,
    address_outside_subnet,
    free_addresses,
    group_in_other_network,
    is_assignable,
    no_default_subnet,
    no_default_vpc,
    public_addresses_used_up,
    subnet_full,
)
from bakehouse.domain.region import zones
from bakehouse.domain.security_group import SecurityGroup, group_name_not_found


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceRequest:
    """Where a request wants its instances; what is None is chosen."""

    subnet_id: str | None = None
    availability_zone: str | None = None
    group_ids: tuple[str, ...] = ()
    group_names: tuple[str, ...] = ()
    private_ip: str | None = None
    associate_public_ip: bool | None = None
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the instances of a launch go."""

    subnet: Subnet
    group_ids: tuple[str, ...]
    addresses: tuple[tuple[str, str | None], ...]
    """For each instance its private address, and its public one if it gets one."""
    wants_public_ip: bool
    description: str


def choose(
    context: AppContext, caller: Caller, request: PlaceRequest, counts: tuple[int, int], pool: PublicAddresses
) -> Place:
    """Return where to launch as many of `counts` (at least, at most) as there are addresses for."""
    subnet = _subnet(context, caller, request)
    wants_public_ip = subnet.map_public_ip if request.associate_public_ip is None else request.associate_public_ip
    private_ips = _private_ips(context, request, subnet, counts)
    public_ips: Iterable[str | None] = repeat(None, len(private_ips))
    if wants_public_ip:
        public_ips = list(islice(pool.free(context.store.network_interfaces), len(private_ips)))
        if len(public_ips) < counts[0]:
            raise public_addresses_used_up()
    return Place(
        subnet=subnet,
        group_ids=_group_ids(context, caller, request, subnet),
        addresses=tuple(zip(private_ips, public_ips, strict=False)),
        wants_public_ip=wants_public_ip,
        description=request.description,
    )


def _subnet(context: AppContext, caller: Caller, request: PlaceRequest) -> Subnet:
    zone = request.availability_zone
    if zone is not None and zone not in zones(caller.region):
        raise invalid_parameter(f"Invalid availability zone: [{zone}]")
    if request.subnet_id is not None:
        (subnet,) = owned(context.store.subnets, caller, "subnet", [request.subnet_id])
        if zone is not None and zone != subnet.availability_zone:
            raise invalid_parameter(
                f"The availability zone '{zone}' does not match the subnet's, '{subnet.availability_zone}'"
            )
        return subnet
    if not any(vpc.is_default for vpc in scope(context.store.vpcs, caller)):
        raise no_default_vpc()
    defaults = [subnet for subnet in scope(context.store.subnets, caller) if subnet.default_for_az]
    for subnet in sorted(defaults, key=lambda subnet: subnet.availability_zone):
        if zone in (None, subnet.availability_zone):
            return subnet
    raise no_default_subnet(zone or zones(caller.region)[0])


def _group_ids(context: AppContext, caller: Caller, request: PlaceRequest, subnet: Subnet) -> tuple[str, ...]:
    group_ids = [group.id for group in groups_in(context, caller, request.group_ids, subnet)]
    by_name = {group.name: group.id for group in context.store.security_groups.by("vpc")[subnet.vpc_id].values()}
    for name in request.group_names:
        if name not in by_name:
            raise group_name_not_found(name, None if request.subnet_id is None else subnet.vpc_id)
        group_ids.append(by_name[name])
    return tuple(dict.fromkeys(group_ids)) or (by_name["default"],)


def groups_in(context: AppContext, caller: Caller, group_ids: Sequence[str], subnet: Subnet) -> list[SecurityGroup]:
    """Return the caller's groups of these ids, refusing those of another VPC than the subnet's."""
    groups = owned(context.store.security_groups, caller, "security-group", group_ids)
    for group in groups:
        if group.vpc_id != subnet.vpc_id:
            raise group_in_other_network(group.id, subnet.id)
    return groups


def _private_ips(
    context: AppContext, request: PlaceRequest, subnet: Subnet, counts: tuple[int, int]
) -> tuple[str, ...]:
    least, most = counts
    taken = {interface.private_ip for interface in context.store.network_interfaces.by("subnet")[subnet.id].values()}
    if request.private_ip is not None:
        if most > 1:
            raise invalid_combination("A private IP address can be given for one instance only, not for several")
        if not is_assignable(subnet.cidr, request.private_ip):
            raise address_outside_subnet(request.private_ip)
        if request.private_ip in taken:
            raise address_in_use(request.private_ip)
        return (request.private_ip,)
    addresses = tuple(islice(free_addresses(subnet.cidr, taken), most))
    if len(addresses) < least:
        raise subnet_full(subnet.id)
    return addresses
