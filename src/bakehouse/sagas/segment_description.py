"""A VPC as the fabric is told of it: its ranges, its subnets with their routes and ACLs, its gateways and options."""

from bakehouse.domain.dhcp_options import DhcpOptions
from bakehouse.domain.nat_gateway import NatGatewayState
from bakehouse.domain.network import Subnet, Vpc, private_domain
from bakehouse.domain.network_acl import NetworkAcl, NetworkAclEntry
from bakehouse.domain.public_names import PUBLIC_DOMAIN
from bakehouse.domain.route_table import Route, RouteTable, RouteTarget
from bakehouse.ports.network import AclRule, DhcpSpec, NatGatewaySpec, RouteSpec, SegmentSpec, SubnetSpec
from bakehouse.store.store import Store


def segment_spec(store: Store, vpc_id: str) -> SegmentSpec:
    """Describe a VPC's segment."""
    vpc = store.vpcs[vpc_id]
    return SegmentSpec(
        vpc_id=vpc_id,
        cidr=vpc.cidr,
        subnets=tuple(_subnet_spec(store, vpc, subnet) for subnet in store.subnets.by("vpc")[vpc_id].values()),
        domain=private_domain(vpc.region),
        public_domain=PUBLIC_DOMAIN,
        extra_cidrs=tuple(association.cidr for association in vpc.secondary_cidrs),
        ipv6_cidr=None if vpc.ipv6_cidr is None else vpc.ipv6_cidr.cidr,
        has_internet_gateway=bool(store.internet_gateways.by("vpc")[vpc_id]),
        dns_support=vpc.dns_support,
        dhcp=_dhcp_spec(store.dhcp_options.get(vpc.dhcp_options_id)),
        nat_gateways=_nat_gateways(store, vpc_id),
    )


def _nat_gateways(store: Store, vpc_id: str) -> tuple[NatGatewaySpec, ...]:
    return tuple(
        NatGatewaySpec(
            nat_gateway_id=gateway.id,
            subnet_id=gateway.subnet_id,
            private_ip=gateway.private_ip,
            public_ip=gateway.public_ip if gateway.is_public else None,
        )
        for gateway in store.nat_gateways.by("vpc")[vpc_id].values()
        if gateway.state is NatGatewayState.AVAILABLE
    )


def _subnet_spec(store: Store, vpc: Vpc, subnet: Subnet) -> SubnetSpec:
    table = store.route_tables[subnet.route_table_id or vpc.main_route_table_id]
    acl = store.network_acls[subnet.network_acl_id]
    return SubnetSpec(
        subnet_id=subnet.id,
        cidr=subnet.cidr,
        ipv6_cidr=None if subnet.ipv6_cidr is None else subnet.ipv6_cidr.cidr,
        routes=tuple(_route_spec(store, table, route) for route in table.routes),
        acl=_acl_rules(acl, ipv6=vpc.ipv6_cidr is not None),
    )


def _route_spec(store: Store, table: RouteTable, route: Route) -> RouteSpec:
    if not leads_somewhere(store, table.vpc_id, route):
        return RouteSpec(destination=route.destination, target="blackhole")
    match route.target:
        case RouteTarget.INTERNET_GATEWAY:
            return RouteSpec(destination=route.destination, target="internet")
        case RouteTarget.EGRESS_ONLY_GATEWAY:
            return RouteSpec(destination=route.destination, target="egress_only")
        case RouteTarget.NAT_GATEWAY:
            return RouteSpec(destination=route.destination, target="nat", target_id=route.target_id)
        case RouteTarget.NETWORK_INTERFACE:
            return RouteSpec(destination=route.destination, target="interface", target_id=route.target_id)


def leads_somewhere(store: Store, vpc_id: str, route: Route) -> bool:
    """Tell whether a route's target is there: attached to this VPC, available, or an interface of some instance.

    Source: EC2 API Reference, Route, state: `blackhole` where the target is not available.
    """
    match route.target:
        case RouteTarget.INTERNET_GATEWAY:
            return route.target_id in store.internet_gateways.by("vpc")[vpc_id]
        case RouteTarget.EGRESS_ONLY_GATEWAY:
            return route.target_id in store.egress_only_internet_gateways.by("vpc")[vpc_id]
        case RouteTarget.NAT_GATEWAY:
            nat_gateway = store.nat_gateways.get(route.target_id)
            return nat_gateway is not None and nat_gateway.state is NatGatewayState.AVAILABLE
        case RouteTarget.NETWORK_INTERFACE:
            interface = store.network_interfaces.get(route.target_id)
            return interface is not None and interface.instance_id is not None


def _acl_rules(acl: NetworkAcl, *, ipv6: bool) -> tuple[AclRule, ...] | None:
    if acl.passes_everything(ipv6=ipv6):
        return None
    return tuple(_acl_rule(entry) for entry in acl.entries)


def _acl_rule(entry: NetworkAclEntry) -> AclRule:
    has_icmp = entry.icmp_type is not None
    return AclRule(
        number=entry.number,
        is_egress=entry.is_egress,
        allow=entry.allows,
        protocol=entry.protocol,
        cidr=entry.cidr,
        from_port=entry.icmp_type if has_icmp else entry.from_port,
        to_port=entry.icmp_code if has_icmp else entry.to_port,
    )


def _dhcp_spec(options: DhcpOptions | None) -> DhcpSpec:
    """Describe a set of options; a VPC without one offers nothing but addresses."""
    if options is None:
        return DhcpSpec()
    named = options.options
    node_type = named.get("netbios-node-type")
    return DhcpSpec(
        domain_name=next(iter(named.get("domain-name", ())), None),
        domain_name_servers=named.get("domain-name-servers", ()),
        ntp_servers=named.get("ntp-servers", ()),
        netbios_name_servers=named.get("netbios-name-servers", ()),
        netbios_node_type=None if node_type is None else int(node_type[0]),
    )
