"""The use cases on networks, one object for each noun."""

from bakehouse.app.context import AppContext
from bakehouse.app.dhcp_options import DhcpOptionsSets
from bakehouse.app.egress_only_gateways import EgressOnlyGateways
from bakehouse.app.elastic_addresses import ElasticAddresses
from bakehouse.app.interface_addresses import InterfaceAddresses
from bakehouse.app.internet_gateways import InternetGateways
from bakehouse.app.nat_gateways import NatGateways
from bakehouse.app.network_acls import NetworkAcls
from bakehouse.app.network_interfaces import NetworkInterfaces
from bakehouse.app.networks import Networks
from bakehouse.app.prefix_lists import PrefixLists
from bakehouse.app.public_addresses import PublicAddresses
from bakehouse.app.route_tables import RouteTables
from bakehouse.app.routes import Routes
from bakehouse.app.security_group_rules import SecurityGroupRules
from bakehouse.app.security_groups import SecurityGroups
from bakehouse.app.subnet_reservations import SubnetReservations
from bakehouse.app.subnets import Subnets
from bakehouse.app.vpcs import Vpcs


class NetworkUseCases:
    """What a handler may call of VPCs and all that is in them."""

    def __init__(self, context: AppContext) -> None:
        """Make each noun's use cases over the same context."""
        self.public_addresses = PublicAddresses(context.store, context.public_pool)
        self.dhcp_options = DhcpOptionsSets(context)
        self.egress_only_gateways = EgressOnlyGateways(context)
        self.elastic_addresses = ElasticAddresses(context, self.public_addresses)
        self.internet_gateways = InternetGateways(context)
        self.nat_gateways = NatGateways(context)
        self.network_acls = NetworkAcls(context)
        self.network_interfaces = NetworkInterfaces(context)
        self.interface_addresses = InterfaceAddresses(context, self.network_interfaces)
        self.networks = Networks(context)
        self.prefix_lists = PrefixLists(context)
        self.route_tables = RouteTables(context)
        self.routes = Routes(context)
        self.security_groups = SecurityGroups(context)
        self.security_group_rules = SecurityGroupRules(self.security_groups)
        self.subnet_reservations = SubnetReservations(context)
        self.subnets = Subnets(context)
        self.vpcs = Vpcs(context)
