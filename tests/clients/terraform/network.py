"""aws_vpc, aws_subnet, aws_internet_gateway, aws_route_table and its association, aws_security_group and its rules."""

from typing import Any

from tests.clients.terraform.provider import (
    Resource,
    Values,
    filters,
    only,
    tags_of,
    tolerated,
    wait_until,
    wait_until_gone,
)

_VPC_ATTRIBUTES = {
    "enable_dns_hostnames": "EnableDnsHostnames",
    "enable_dns_support": "EnableDnsSupport",
    "enable_network_address_usage_metrics": "EnableNetworkAddressUsageMetrics",
}
#: What a new VPC has; the provider changes only what is wanted otherwise.
_VPC_DEFAULTS = {
    "enable_dns_hostnames": False,
    "enable_dns_support": True,
    "enable_network_address_usage_metrics": False,
}


class AwsVpc(Resource):
    kind = "vpc"

    def create(self) -> str:
        made = self.ec2.create_vpc(
            AmazonProvidedIpv6CidrBlock=self.wanted.get("assign_generated_ipv6_cidr_block", False),
            InstanceTenancy="default",
            CidrBlock=self.wanted["cidr_block"],
            **self.tagged(),
        )["Vpc"]
        self.id = made["VpcId"]
        wait_until(lambda: self._find()["State"] == "available")
        for association in made.get("Ipv6CidrBlockAssociationSet", ()):
            self._wait_until_associated(association["AssociationId"])
        self.update({name: value for name, value in self.wanted.items() if _VPC_DEFAULTS.get(name, value) != value})
        return self.id

    def read(self) -> Values:
        vpc = self._find()
        state = {"cidr_block": vpc["CidrBlock"], "dhcp_options_id": vpc["DhcpOptionsId"], "tags": tags_of(vpc)}
        for name, member in _VPC_ATTRIBUTES.items():
            asked = member[0].lower() + member[1:]
            state[name] = self.ec2.describe_vpc_attribute(VpcId=self.id, Attribute=asked)[member]["Value"]
        ours = filters(default="true", vpc_id=self.id)
        state["default_network_acl_id"] = only(self.ec2.describe_network_acls(Filters=ours)["NetworkAcls"])[
            "NetworkAclId"
        ]
        ours = filters(**{"association.main": "true", "vpc-id": self.id})
        state["main_route_table_id"] = only(self.ec2.describe_route_tables(Filters=ours)["RouteTables"])["RouteTableId"]
        ours = filters(group_name="default", vpc_id=self.id)
        found = self.ec2.describe_security_groups(Filters=ours)["SecurityGroups"]
        state["default_security_group_id"] = only(found)["GroupId"]
        pools = [
            it["Ipv6Pool"]
            for it in vpc.get("Ipv6CidrBlockAssociationSet", ())
            if it["Ipv6CidrBlockState"]["State"] == "associated"
        ]
        state["assign_generated_ipv6_cidr_block"] = pools == ["Amazon"]
        return state

    def update(self, changed: Values) -> None:
        for name, member in _VPC_ATTRIBUTES.items():
            if name in changed:
                self.ec2.modify_vpc_attribute(VpcId=self.id, **{member: {"Value": changed[name]}})

    def destroy(self) -> None:
        self.ec2.delete_vpc(VpcId=self.id)
        wait_until_gone(self._find, "InvalidVpcID.NotFound")

    def _wait_until_associated(self, association_id: str) -> None:
        ours = filters(**{"ipv6-cidr-block-association.association-id": association_id})
        wait_until(lambda: _associated(only(self.ec2.describe_vpcs(Filters=ours)["Vpcs"])))

    def _find(self) -> Values:
        return only(self.ec2.describe_vpcs(VpcIds=[self.id])["Vpcs"])


def _associated(described: Values) -> bool:
    return all(it["Ipv6CidrBlockState"]["State"] == "associated" for it in described["Ipv6CidrBlockAssociationSet"])


class AwsSubnet(Resource):
    kind = "subnet"

    def create(self) -> str:
        given = {"AvailabilityZone": "availability_zone", "CidrBlock": "cidr_block", "VpcId": "vpc_id"}
        members = {member: self.wanted[name] for member, name in given.items() if name in self.wanted}
        self.id = self.ec2.create_subnet(**members, **self.tagged())["Subnet"]["SubnetId"]
        wait_until(lambda: self._find()["State"] == "available")
        self.update({name: value for name, value in self.wanted.items() if value not in (False, None)})
        return self.id

    def read(self) -> Values:
        subnet = self._find()
        dns = subnet["PrivateDnsNameOptionsOnLaunch"]
        return {
            "assign_ipv6_address_on_creation": subnet["AssignIpv6AddressOnCreation"],
            "availability_zone": subnet["AvailabilityZone"],
            "availability_zone_id": subnet["AvailabilityZoneId"],
            "cidr_block": subnet["CidrBlock"],
            "enable_dns64": subnet["EnableDns64"],
            "enable_resource_name_dns_a_record_on_launch": dns["EnableResourceNameDnsARecord"],
            "ipv6_native": subnet["Ipv6Native"],
            "map_public_ip_on_launch": subnet["MapPublicIpOnLaunch"],
            "private_dns_hostname_type_on_launch": dns["HostnameType"],
            "arn": subnet["SubnetArn"],
            "tags": tags_of(subnet),
            "vpc_id": subnet["VpcId"],
        }

    def update(self, changed: Values) -> None:
        """One attribute a request."""
        if "map_public_ip_on_launch" in changed:
            self.ec2.modify_subnet_attribute(
                SubnetId=self.id, MapPublicIpOnLaunch={"Value": changed["map_public_ip_on_launch"]}
            )
            wanted = changed["map_public_ip_on_launch"]
            wait_until(lambda: self._find()["MapPublicIpOnLaunch"] is wanted)
        if "enable_resource_name_dns_a_record_on_launch" in changed:
            value = {"Value": changed["enable_resource_name_dns_a_record_on_launch"]}
            self.ec2.modify_subnet_attribute(SubnetId=self.id, EnableResourceNameDnsARecordOnLaunch=value)

    def destroy(self) -> None:
        lingering = self.ec2.describe_network_interfaces(Filters=filters(subnet_id=self.id))["NetworkInterfaces"]
        assert lingering == []
        self.ec2.delete_subnet(SubnetId=self.id)
        wait_until_gone(self._find, "InvalidSubnetID.NotFound")

    def _find(self) -> Values:
        return only(self.ec2.describe_subnets(SubnetIds=[self.id])["Subnets"])


class AwsInternetGateway(Resource):
    kind = "internet-gateway"

    def create(self) -> str:
        self.id = self.ec2.create_internet_gateway(**self.tagged())["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=self.id, VpcId=self.wanted["vpc_id"])
        wait_until(lambda: only(self._find()["Attachments"])["State"] == "available")
        return self.id

    def read(self) -> Values:
        gateway = self._find()
        attached = [attachment["VpcId"] for attachment in gateway["Attachments"]]
        return {"vpc_id": attached[0] if attached else "", "owner_id": gateway["OwnerId"], "tags": tags_of(gateway)}

    def destroy(self) -> None:
        with tolerated("Gateway.NotAttached"):
            self.ec2.detach_internet_gateway(InternetGatewayId=self.id, VpcId=self.wanted["vpc_id"])
        wait_until(lambda: not self._find()["Attachments"])
        self.ec2.delete_internet_gateway(InternetGatewayId=self.id)
        wait_until_gone(self._find, "InvalidInternetGatewayID.NotFound")

    def _find(self) -> Values:
        return only(self.ec2.describe_internet_gateways(InternetGatewayIds=[self.id])["InternetGateways"])


class AwsRouteTable(Resource):
    """`routes` are pairs of a range and a gateway."""

    kind = "route-table"

    def create(self) -> str:
        made = self.ec2.create_route_table(VpcId=self.wanted["vpc_id"], **self.tagged())
        self.id = made["RouteTable"]["RouteTableId"]
        wait_until(lambda: bool(self._find()))
        for cidr, gateway in self.wanted["routes"].items():
            self._add(cidr, gateway)
        return self.id

    def read(self) -> Values:
        table = self._find()
        routes = {
            route["DestinationCidrBlock"]: route["GatewayId"]
            for route in table["Routes"]
            if route["Origin"] == "CreateRoute" and "DestinationCidrBlock" in route
        }
        assert table["PropagatingVgws"] == []
        return {"vpc_id": table["VpcId"], "owner_id": table["OwnerId"], "routes": routes, "tags": tags_of(table)}

    def update(self, changed: Values) -> None:
        if "routes" not in changed:
            return
        before, after = self.state["routes"], changed["routes"]
        for cidr, gateway in after.items():
            if cidr not in before:
                self._add(cidr, gateway)
            elif before[cidr] != gateway:
                self.ec2.replace_route(RouteTableId=self.id, DestinationCidrBlock=cidr, GatewayId=gateway)
        for cidr in before.keys() - after.keys():
            self.ec2.delete_route(RouteTableId=self.id, DestinationCidrBlock=cidr)
            assert cidr not in self.read()["routes"]

    def destroy(self) -> None:
        for association in self._find()["Associations"]:
            self.ec2.disassociate_route_table(AssociationId=association["RouteTableAssociationId"])
        self.ec2.delete_route_table(RouteTableId=self.id)
        wait_until_gone(self._find, "InvalidRouteTableID.NotFound")

    def _add(self, cidr: str, gateway: str) -> None:
        self.ec2.create_route(RouteTableId=self.id, DestinationCidrBlock=cidr, GatewayId=gateway)
        wait_until(lambda: any(it.get("DestinationCidrBlock") == cidr for it in self._find()["Routes"]))

    def _find(self) -> Values:
        return only(self.ec2.describe_route_tables(RouteTableIds=[self.id])["RouteTables"])


class AwsRouteTableAssociation(Resource):
    kind = ""

    def create(self) -> str:
        members = {"RouteTableId": self.wanted["route_table_id"], "SubnetId": self.wanted["subnet_id"]}
        self.id = self.ec2.associate_route_table(**members)["AssociationId"]
        wait_until(lambda: self._find()["AssociationState"]["State"] == "associated")
        return self.id

    def read(self) -> Values:
        association = self._find()
        return {"route_table_id": association["RouteTableId"], "subnet_id": association["SubnetId"]}

    def update(self, changed: Values) -> None:
        replaced = self.ec2.replace_route_table_association(
            AssociationId=self.id, RouteTableId=changed["route_table_id"]
        )
        self.id = replaced["NewAssociationId"]
        wait_until(lambda: self._find()["AssociationState"]["State"] == "associated")

    def destroy(self) -> None:
        with tolerated("InvalidAssociationID.NotFound"):
            self.ec2.disassociate_route_table(AssociationId=self.id)
        wait_until_gone(lambda: self.ec2.describe_route_tables(Filters=self._ours())["RouteTables"])

    def _ours(self) -> list[Values]:
        return filters(**{"association.route-table-association-id": self.id})

    def _find(self) -> Values:
        table = only(self.ec2.describe_route_tables(Filters=self._ours())["RouteTables"])
        return only([it for it in table["Associations"] if it["RouteTableAssociationId"] == self.id])


class AwsSecurityGroup(Resource):
    """With no rules of its own: they are resources beside it."""

    kind = "security-group"

    def create(self) -> str:
        made = self.ec2.create_security_group(
            GroupName=self.wanted["name"],
            Description=self.wanted["description"],
            VpcId=self.wanted["vpc_id"],
            **self.tagged(),
        )
        self.id = made["GroupId"]
        wait_until(lambda: bool(self._find()))
        # AWS lets everything out; Terraform lets out what is configured.
        everything: Values = {"FromPort": 0, "ToPort": 0, "IpProtocol": "-1"}
        self.ec2.revoke_security_group_egress(
            GroupId=self.id, IpPermissions=[{**everything, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
        )
        with tolerated("InvalidParameterValue", "InvalidPermission.NotFound"):
            self.ec2.revoke_security_group_egress(
                GroupId=self.id, IpPermissions=[{**everything, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}]
            )
        return self.id

    def read(self) -> Values:
        group = self._find()
        return {
            "name": group["GroupName"],
            "description": group["Description"],
            "vpc_id": group["VpcId"],
            "owner_id": group["OwnerId"],
            "tags": tags_of(group),
        }

    def destroy(self) -> None:
        found = self.ec2.describe_network_interfaces(Filters=filters(group_id=self.id))["NetworkInterfaces"]
        assert found == []
        self.ec2.delete_security_group(GroupId=self.id)
        wait_until_gone(self._find, "InvalidGroup.NotFound")

    def _find(self) -> Values:
        return only(self.ec2.describe_security_groups(GroupIds=[self.id])["SecurityGroups"])


class AwsVpcSecurityGroupRule(Resource):
    """aws_vpc_security_group_ingress_rule, and with `egress` aws_vpc_security_group_egress_rule."""

    kind = "security-group-rule"

    def create(self) -> str:
        authorize = self._by_way("authorize")
        made = authorize(GroupId=self.wanted["security_group_id"], IpPermissions=[self._permission()], **self.tagged())
        return str(made["SecurityGroupRules"][0]["SecurityGroupRuleId"])

    def read(self) -> Values:
        rule = only(self.ec2.describe_security_group_rules(SecurityGroupRuleIds=[self.id])["SecurityGroupRules"])
        return {
            "arn": rule["SecurityGroupRuleArn"],
            "cidr_ipv4": rule.get("CidrIpv4"),
            "description": rule.get("Description"),
            "egress": rule["IsEgress"],
            "from_port": None if rule["FromPort"] == -1 else rule["FromPort"],
            "ip_protocol": rule["IpProtocol"],
            "referenced_security_group_id": rule.get("ReferencedGroupInfo", {}).get("GroupId"),
            "security_group_id": rule["GroupId"],
            "tags": tags_of(rule),
            "to_port": None if rule["ToPort"] == -1 else rule["ToPort"],
        }

    def update(self, changed: Values) -> None:
        if changed.keys() <= {"tags"}:
            return
        rule: Values = {
            "CidrIpv4": self.wanted.get("cidr_ipv4"),
            "Description": self.wanted.get("description"),
            "FromPort": self.wanted.get("from_port"),
            "IpProtocol": self.wanted["ip_protocol"],
            "ReferencedGroupId": self.wanted.get("referenced_security_group_id"),
            "ToPort": self.wanted.get("to_port"),
        }
        given = {name: value for name, value in rule.items() if value is not None}
        self.ec2.modify_security_group_rules(
            GroupId=self.wanted["security_group_id"],
            SecurityGroupRules=[{"SecurityGroupRuleId": self.id, "SecurityGroupRule": given}],
        )

    def destroy(self) -> None:
        self._by_way("revoke")(GroupId=self.wanted["security_group_id"], SecurityGroupRuleIds=[self.id])

    def _by_way(self, verb: str) -> Any:
        return getattr(self.ec2, f"{verb}_security_group_{'egress' if self.wanted['egress'] else 'ingress'}")

    def _permission(self) -> Values:
        ports = {"FromPort": self.wanted.get("from_port"), "ToPort": self.wanted.get("to_port")}
        said = {"Description": self.wanted["description"]} if self.wanted.get("description") else {}
        permission: Values = {"IpProtocol": self.wanted["ip_protocol"]}
        permission |= {name: value for name, value in ports.items() if value is not None}
        if self.wanted.get("cidr_ipv4"):
            return permission | {"IpRanges": [{"CidrIp": self.wanted["cidr_ipv4"], **said}]}
        return permission | {"UserIdGroupPairs": [{"GroupId": self.wanted["referenced_security_group_id"], **said}]}
