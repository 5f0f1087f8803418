"""What the sagas tell the network: segments made, groups and interfaces described from the records."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bakehouse.domain.instance_options import PrivateNames
from bakehouse.domain.network import host_name_of
from bakehouse.domain.network_interface import NetworkInterface
from bakehouse.domain.public_names import public_name
from bakehouse.domain.security_group import SecurityGroup, SecurityGroupRule
from bakehouse.ports.network import AddressSpec, FirewallRule, GroupSpec, InterfaceSpec
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.held_by_fabric import without_reserved
from bakehouse.sagas.segment_description import segment_spec
from bakehouse.store.store import Store


async def ensure_segment(ctx: SagaContext, vpc_id: str) -> None:
    """Make a VPC's segment with its groups and its metadata service, once in a server's life.

    The reconciler does the same at start for segments that an earlier server left.
    """
    if vpc_id in ctx.segments:
        return
    async with ctx.segment_turns.setdefault(vpc_id, asyncio.Lock()):
        if vpc_id in ctx.segments:
            return
        await ctx.network.ensure_segment(segment_spec(ctx.store, vpc_id))
        await ctx.metadata.open(vpc_id, await ctx.network.metadata_socket(vpc_id))
        await _apply_groups(ctx, vpc_id)
        ctx.segments.add(vpc_id)


async def follow_records(ctx: SagaContext, vpc_id: str) -> None:
    """Bring a segment to the records, if it is there; whoever calls has its turn.

    Where the fabric fails, `ctx.segments` tells the reconciler to try again.
    """
    if vpc_id in ctx.segments:
        try:
            await ctx.network.ensure_segment(segment_spec(ctx.store, vpc_id))
        except BaseException:
            ctx.segments.discard(vpc_id)
            raise


async def reroute(ctx: SagaContext, interfaces: Sequence[NetworkInterface]) -> None:
    """Tell the fabric of routes whose targets came to an instance, or went: these interfaces, as they were or are."""
    moved = {interface.id for interface in interfaces}
    for vpc_id in {interface.vpc_id for interface in interfaces}:
        async with ctx.segment_turns.setdefault(vpc_id, asyncio.Lock()):
            tables = ctx.store.route_tables.by("vpc")[vpc_id].values()
            if any(route.target_id in moved for table in tables for route in table.routes):
                await follow_records(ctx, vpc_id)


async def _apply_groups(ctx: SagaContext, vpc_id: str) -> None:
    """Apply every group, and again those that change meanwhile: nobody else does while the segment is being made."""
    applied: dict[str, SecurityGroup] = {}
    while changed := [
        group for group in ctx.store.security_groups.by("vpc")[vpc_id].values() if applied.get(group.id) is not group
    ]:
        for group in changed:
            await ctx.network.apply_group(group_spec(ctx.store, group))
            applied[group.id] = group


def group_spec(store: Store, group: SecurityGroup) -> GroupSpec:
    """Describe a security group."""
    return GroupSpec(
        group_id=group.id,
        vpc_id=group.vpc_id,
        ingress=tuple(it for rule in group.rules if not rule.is_egress for it in firewall_rules(store, rule)),
        egress=tuple(it for rule in group.rules if rule.is_egress for it in firewall_rules(store, rule)),
    )


def firewall_rules(store: Store, rule: SecurityGroupRule) -> Iterator[FirewallRule]:
    """Describe one rule: that which names a prefix list by one for each of its entries."""
    described = FirewallRule(
        protocol=rule.protocol,
        from_port=rule.from_port,
        to_port=rule.to_port,
        cidr=rule.cidr_ipv4 or rule.cidr_ipv6,
        group_id=rule.referenced_group_id,
    )
    if rule.prefix_list_id is None:
        yield described
        return
    for entry in store.prefix_lists[rule.prefix_list_id].entries:
        yield replace(described, cidr=entry.cidr)


def interface_spec(store: Store, interface: NetworkInterface) -> InterfaceSpec:
    """Describe an interface, without addresses that another one must let go of before.

    The first one of an instance is called as the instance is.

    Public names lead to the private addresses inside the VPC, as on EC2, whether answers tell of them or not.
    Source: VPC User Guide, "DNS attributes for your VPC".
    """
    instance = store.instances.get(interface.instance_id or "")
    is_first = instance is not None and instance.network_interface_id == interface.id
    names = instance.private_names if instance is not None and is_first else PrivateNames()
    ip_name = host_name_of(interface.private_ip)
    interface = without_reserved(store, interface)
    return InterfaceSpec(
        interface_id=interface.id,
        vpc_id=interface.vpc_id,
        subnet_id=interface.subnet_id,
        subnet_cidr=store.subnets[interface.subnet_id].cidr,
        mac=interface.mac,
        private_ip=interface.private_ip,
        public_ip=interface.public_ip,
        group_ids=interface.group_ids,
        host_name=names.host_name(interface.instance_id or "", ip_name),
        names=(
            *names.more_names(interface.instance_id or "", ip_name),
            *_public_names(interface, interface.private_ip),
        ),
        secondary_ips=tuple(
            AddressSpec(
                private_ip=address,
                public_ip=interface.public_ip_of(address),
                names=(host_name_of(address), *_public_names(interface, address)),
            )
            for address in interface.secondary_ips
        ),
        ipv6_addresses=interface.ipv6_addresses,
        ipv6_names=names.ipv6_names(interface.instance_id or ""),
        source_dest_check=interface.source_dest_check,
    )


def _public_names(interface: NetworkInterface, private_ip: str) -> tuple[str, ...]:
    public_ip = interface.public_ip_of(private_ip)
    return () if public_ip is None else (public_name(public_ip, interface.region),)
