"""aws_vpc, aws_subnet, aws_internet_gateway."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from tests.clients.terraform.provider import Resource, Values, filters, given, only, tags_of
from tests.clients.terraform.refusals import NotFoundError, tolerated
from tests.clients.terraform.waiters import wait_for, wait_until, wait_until_gone

_VPC_ATTRIBUTES: Final = {
    "enable_dns_hostnames": "EnableDnsHostnames",
    "enable_dns_support": "EnableDnsSupport",
    "enable_network_address_usage_metrics": "EnableNetworkAddressUsageMetrics",
}
#: What a new VPC has; the provider changes only what is wanted otherwise.
_VPC_DEFAULTS: Final = {
    "enable_dns_hostnames": False,
    "enable_dns_support": True,
    "enable_network_address_usage_metrics": False,
}


class AwsVpc(Resource):
    """vpc_.go."""

    kind = "vpc"
    gone = ("InvalidVpcID.NotFound",)
    defaults: ClassVar[Mapping[str, Any]] = {
        "assign_generated_ipv6_cidr_block": None,
        "enable_dns_support": True,
        "instance_tenancy": "default",
    }

    def create(self) -> str:
        made = self.ec2.create_vpc(
            AmazonProvidedIpv6CidrBlock=self.wanted.get("assign_generated_ipv6_cidr_block", False),
            InstanceTenancy="default",
            CidrBlock=self.wanted["cidr_block"],
            **self.tagged(),
        )["Vpc"]
        self.id = made["VpcId"]
        wait_for(lambda: str(self._find()["State"]), "available", "pending")
        for association in made.get("Ipv6CidrBlockAssociationSet", ()):
            self._wait_until_associated(association["AssociationId"])
        for name, value in _VPC_DEFAULTS.items():
            if self.wanted.get(name, value) != value:
                self._modify(name, self.wanted[name])
        return self.id

    def read(self) -> Values:
        vpc = self._find()
        state = {
            "cidr_block": vpc["CidrBlock"],
            "dhcp_options_id": vpc["DhcpOptionsId"],
            "instance_tenancy": vpc["InstanceTenancy"],
            "owner_id": vpc["OwnerId"],
            "tags": tags_of(vpc),
        }
        state |= {name: self._attribute(name) for name in _VPC_ATTRIBUTES}
        ours = filters({"default": "true", "vpc-id": self.id})
        network_acl = only(self.ec2.describe_network_acls(Filters=ours)["NetworkAcls"])
        ours = filters({"association.main": "true", "vpc-id": self.id})
        main_table = only(self.ec2.describe_route_tables(Filters=ours)["RouteTables"])
        ours = filters({"group-name": "default", "vpc-id": self.id})
        group = only(self.ec2.describe_security_groups(Filters=ours)["SecurityGroups"])
        associated = [
            it for it in vpc.get("Ipv6CidrBlockAssociationSet", ()) if it["Ipv6CidrBlockState"]["State"] == "associated"
        ]
        return {
            **state,
            "assign_generated_ipv6_cidr_block": [it["Ipv6Pool"] for it in associated] == ["Amazon"],
            "default_network_acl_id": network_acl["NetworkAclId"],
            "default_security_group_id": group["GroupId"],
            "ipv6_association_id": associated[0]["AssociationId"] if associated else None,
            "ipv6_cidr_block": associated[0]["Ipv6CidrBlock"] if associated else None,
            "main_route_table_id": main_table["RouteTableId"],
        }

    def update(self, changed: Values) -> None:
        for name in _VPC_ATTRIBUTES:
            if name in changed:
                self._modify(name, changed[name])
        if "assign_generated_ipv6_cidr_block" in changed:
            self._change_ipv6_range(changed["assign_generated_ipv6_cidr_block"])

    def destroy(self) -> None:
        with tolerated("InvalidVpcID.NotFound"):
            self.ec2.delete_vpc(VpcId=self.id)
        wait_until_gone(self._find, *self.gone)

    def _modify(self, name: str, value: Any) -> None:
        self.ec2.modify_vpc_attribute(VpcId=self.id, **{_VPC_ATTRIBUTES[name]: {"Value": value}})
        wait_until(lambda: self._attribute(name) is value)

    def _attribute(self, name: str) -> Any:
        member = _VPC_ATTRIBUTES[name]
        asked = member[0].lower() + member[1:]
        return self.ec2.describe_vpc_attribute(VpcId=self.id, Attribute=asked)[member]["Value"]

    def _change_ipv6_range(self, wanted: object) -> None:
        if self.state["ipv6_association_id"]:
            self.ec2.disassociate_vpc_cidr_block(AssociationId=self.state["ipv6_association_id"])
            wait_until_gone(lambda: self._ipv6_state(self.state["ipv6_association_id"]) != "disassociated")
        if wanted:
            made = self.ec2.associate_vpc_cidr_block(VpcId=self.id, AmazonProvidedIpv6CidrBlock=True)
            self._wait_until_associated(made["Ipv6CidrBlockAssociation"]["AssociationId"])

    def _wait_until_associated(self, association_id: str) -> None:
        wait_for(lambda: self._ipv6_state(association_id), "associated", "associating", "disassociated", "failing")

    def _ipv6_state(self, association_id: str) -> str:
        ours = filters({"ipv6-cidr-block-association.association-id": association_id})
        vpc = only(self.ec2.describe_vpcs(Filters=ours)["Vpcs"])
        found = [it for it in vpc["Ipv6CidrBlockAssociationSet"] if it["AssociationId"] == association_id]
        return str(only(found)["Ipv6CidrBlockState"]["State"])

    def _find(self) -> Values:
        return only(self.ec2.describe_vpcs(VpcIds=[self.id])["Vpcs"])


#: attribute -> member of ModifySubnetAttribute, which changes one at a time.
_SUBNET_ATTRIBUTES: Final = {
    "assign_ipv6_address_on_creation": "AssignIpv6AddressOnCreation",
    "enable_dns64": "EnableDns64",
    "enable_resource_name_dns_aaaa_record_on_launch": "EnableResourceNameDnsAAAARecordOnLaunch",
    "enable_resource_name_dns_a_record_on_launch": "EnableResourceNameDnsARecordOnLaunch",
    "map_public_ip_on_launch": "MapPublicIpOnLaunch",
    "private_dns_hostname_type_on_launch": "PrivateDnsHostnameTypeOnLaunch",
}


class AwsSubnet(Resource):
    """vpc_subnet.go."""

    kind = "subnet"
    gone = ("InvalidSubnetID.NotFound",)
    defaults: ClassVar[Mapping[str, Any]] = {
        **{name: False for name in _SUBNET_ATTRIBUTES if not name.startswith("private_dns")},
        "customer_owned_ipv4_pool": None,
        "enable_lni_at_device_index": None,
        "ipv6_cidr_block": None,
        "ipv6_native": False,
        "map_customer_owned_ip_on_launch": None,
        "outpost_arn": None,
    }

    def create(self) -> str:
        members = {
            "availability_zone": "AvailabilityZone",
            "availability_zone_id": "AvailabilityZoneId",
            "cidr_block": "CidrBlock",
            "ipv6_cidr_block": "Ipv6CidrBlock",
            "vpc_id": "VpcId",
        }
        made = self.ec2.create_subnet(**given(members, self.wanted), **self.tagged())["Subnet"]
        self.id = made["SubnetId"]
        wait_for(lambda: str(self._find()["State"]), "available", "pending")
        for association in self._find().get("Ipv6CidrBlockAssociationSet", ()):
            wait_for(lambda it=association: self._ipv6_state(it["AssociationId"]), "associated", "associating")  # type: ignore[misc]
        found = self.read()
        for name in _SUBNET_ATTRIBUTES:
            if self.wanted.get(name) and self.wanted[name] != found[name]:
                self._modify(name, self.wanted[name])
        return self.id

    def read(self) -> Values:
        subnet = self._find()
        dns = subnet["PrivateDnsNameOptionsOnLaunch"]
        ranges = [
            it
            for it in subnet.get("Ipv6CidrBlockAssociationSet", ())
            if it["Ipv6CidrBlockState"]["State"] == "associated"
        ]
        return {
            "arn": subnet["SubnetArn"],
            "assign_ipv6_address_on_creation": subnet["AssignIpv6AddressOnCreation"],
            "availability_zone": subnet["AvailabilityZone"],
            "availability_zone_id": subnet["AvailabilityZoneId"],
            "cidr_block": subnet["CidrBlock"],
            "customer_owned_ipv4_pool": subnet.get("CustomerOwnedIpv4Pool"),
            "enable_dns64": subnet["EnableDns64"],
            "enable_lni_at_device_index": subnet.get("EnableLniAtDeviceIndex"),
            "enable_resource_name_dns_a_record_on_launch": dns["EnableResourceNameDnsARecord"],
            "enable_resource_name_dns_aaaa_record_on_launch": dns["EnableResourceNameDnsAAAARecord"],
            "ipv6_cidr_block": ranges[0]["Ipv6CidrBlock"] if ranges else None,
            "ipv6_cidr_block_association_id": ranges[0]["AssociationId"] if ranges else None,
            "ipv6_native": subnet["Ipv6Native"],
            "map_customer_owned_ip_on_launch": subnet.get("MapCustomerOwnedIpOnLaunch"),
            "map_public_ip_on_launch": subnet["MapPublicIpOnLaunch"],
            "outpost_arn": subnet.get("OutpostArn"),
            "owner_id": subnet["OwnerId"],
            "private_dns_hostname_type_on_launch": dns["HostnameType"],
            "tags": tags_of(subnet),
            "vpc_id": subnet["VpcId"],
        }

    def update(self, changed: Values) -> None:
        """One attribute a request; a range of IPv6 goes after what needs none, and comes before what needs one."""
        known = {*_SUBNET_ATTRIBUTES, "ipv6_cidr_block"}
        assert changed.keys() <= known, "the provider would make another one"
        assigned = "assign_ipv6_address_on_creation"
        if changed.get(assigned) is False:
            self._modify(assigned, wanted=False)
        if "ipv6_cidr_block" in changed:
            self._change_ipv6_range(changed["ipv6_cidr_block"])
        for name in _SUBNET_ATTRIBUTES:
            if name in changed and name != assigned:
                self._modify(name, changed[name])
        if changed.get(assigned):
            self._modify(assigned, wanted=True)

    def destroy(self) -> None:
        self.ec2.describe_network_interfaces(Filters=filters({"subnet-id": self.id}))
        with tolerated("InvalidSubnetID.NotFound"):
            self.ec2.delete_subnet(SubnetId=self.id)

    def _modify(self, name: str, wanted: Any) -> None:
        value = wanted if name.startswith("private_dns") else {"Value": wanted}
        self.ec2.modify_subnet_attribute(SubnetId=self.id, **{_SUBNET_ATTRIBUTES[name]: value})
        wait_until(lambda: self.read()[name] == wanted)

    def _change_ipv6_range(self, cidr: str | None) -> None:
        before = self.state["ipv6_cidr_block_association_id"]
        if before:
            self.ec2.disassociate_subnet_cidr_block(AssociationId=before)
            wait_until_gone(lambda: self._ipv6_state(before) != "disassociated")
        if cidr:
            made = self.ec2.associate_subnet_cidr_block(SubnetId=self.id, Ipv6CidrBlock=cidr)
            association_id = made["Ipv6CidrBlockAssociation"]["AssociationId"]
            wait_for(lambda: self._ipv6_state(association_id), "associated", "associating", "disassociated")

    def _ipv6_state(self, association_id: str) -> str:
        ours = filters({"ipv6-cidr-block-association.association-id": association_id})
        subnet = only(self.ec2.describe_subnets(Filters=ours)["Subnets"])
        found = [it for it in subnet["Ipv6CidrBlockAssociationSet"] if it["AssociationId"] == association_id]
        return str(only(found)["Ipv6CidrBlockState"]["State"])

    def _find(self) -> Values:
        return only(self.ec2.describe_subnets(SubnetIds=[self.id])["Subnets"])


class AwsInternetGateway(Resource):
    """vpc_internet_gateway.go."""

    kind = "internet-gateway"
    gone = ("InvalidInternetGatewayID.NotFound",)

    def create(self) -> str:
        self.id = self.ec2.create_internet_gateway(**self.tagged())["InternetGateway"]["InternetGatewayId"]
        if self.wanted.get("vpc_id"):
            self._attach(self.wanted["vpc_id"])
        return self.id

    def read(self) -> Values:
        gateway = self._find()
        attached = [attachment["VpcId"] for attachment in gateway["Attachments"]]
        return {"vpc_id": attached[0] if attached else "", "owner_id": gateway["OwnerId"], "tags": tags_of(gateway)}

    def update(self, changed: Values) -> None:
        self._detach()
        if changed["vpc_id"]:
            self._attach(changed["vpc_id"])

    def destroy(self) -> None:
        self._detach()
        with tolerated("InvalidInternetGatewayID.NotFound"):
            self.ec2.delete_internet_gateway(InternetGatewayId=self.id)

    def _attach(self, vpc_id: str) -> None:
        self.ec2.attach_internet_gateway(InternetGatewayId=self.id, VpcId=vpc_id)
        wait_for(lambda: self._attachment(vpc_id), "available", "attaching")

    def _detach(self) -> None:
        vpc_id = self.state["vpc_id"]
        if vpc_id:
            with tolerated("Gateway.NotAttached"):
                self.ec2.detach_internet_gateway(InternetGatewayId=self.id, VpcId=vpc_id)
            wait_until_gone(lambda: self._attachment(vpc_id), *self.gone)

    def _attachment(self, vpc_id: str) -> str:
        attachment = only(self._find()["Attachments"])
        if attachment["VpcId"] != vpc_id:
            raise NotFoundError
        return str(attachment["State"])

    def _find(self) -> Values:
        return only(self.ec2.describe_internet_gateways(InternetGatewayIds=[self.id])["InternetGateways"])
