"""aws_security_group, aws_security_group_rule, aws_vpc_security_group_ingress_rule and -_egress_rule."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from tests.clients.terraform.provider import Resource, Values, filters, only, tags_of
from tests.clients.terraform.refusals import NotFoundError, tolerated
from tests.clients.terraform.waiters import wait_until, wait_until_gone

#: attribute of a rule -> (member of IpPermission, of each of its elements)
_SOURCES: Final = {
    "cidr_blocks": ("IpRanges", "CidrIp"),
    "ipv6_cidr_blocks": ("Ipv6Ranges", "CidrIpv6"),
    "prefix_list_ids": ("PrefixListIds", "PrefixListId"),
    "security_groups": ("UserIdGroupPairs", "GroupId"),
}


class Rule(NamedTuple):
    """One source of a rule of aws_security_group; the provider splits its rules so and puts them together again."""

    protocol: str
    from_port: int
    to_port: int
    description: str
    attribute: str
    source: str


def rules_of(group_id: str, blocks: Iterable[Mapping[str, Any]]) -> set[Rule]:
    """Return what blocks of the schema say; `self` is the group's id here."""
    return {
        Rule(it["protocol"], it["from_port"], it["to_port"], it.get("description", ""), attribute, source)
        for it in blocks
        for attribute in _SOURCES
        for source in [
            *it.get(attribute, ()),
            *([group_id] if attribute == "security_groups" and it.get("self") else ()),
        ]
    }


def _rules_found(permissions: Iterable[Values]) -> set[Rule]:
    return {
        Rule(
            it["IpProtocol"],
            it.get("FromPort", 0),
            it.get("ToPort", 0),
            element.get("Description", ""),
            attribute,
            element[member],
        )
        for it in permissions
        for attribute, (name, member) in _SOURCES.items()
        for element in it[name]
    }


def permissions_of(rules: Iterable[Rule]) -> list[Values]:
    """Return rules as requests have them: one permission for all sources with the same ports and description."""
    permissions: dict[tuple[str, int, int, str], Values] = {}
    for rule in sorted(rules):
        permission = permissions.setdefault(rule[:4], {"IpProtocol": rule.protocol})
        if rule.protocol != "-1":
            permission |= {"FromPort": rule.from_port, "ToPort": rule.to_port}
        name, member = _SOURCES[rule.attribute]
        said = {"Description": rule.description} if rule.description else {}
        permission.setdefault(name, []).append({member: rule.source, **said})
    return list(permissions.values())


class AwsSecurityGroup(Resource):
    """vpc_security_group.go. `ingress` and `egress`: lists of blocks; left out, they are whatever is found."""

    kind = "security-group"
    gone = ("InvalidGroup.NotFound", "InvalidSecurityGroupID.NotFound")

    def create(self) -> str:
        made = self.ec2.create_security_group(
            GroupName=self.wanted["name"],
            Description=self.wanted.get("description", "Managed by Terraform"),
            VpcId=self.wanted["vpc_id"],
            **self.tagged(),
        )
        self.id = made["GroupId"]
        wait_until(self._find)
        # AWS lets everything out; Terraform lets out what is configured.
        everything: Values = {"FromPort": 0, "ToPort": 0, "IpProtocol": "-1"}
        self.ec2.revoke_security_group_egress(
            GroupId=self.id, IpPermissions=[{**everything, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
        )
        with tolerated("InvalidPermission.NotFound"):
            self.ec2.revoke_security_group_egress(
                GroupId=self.id, IpPermissions=[{**everything, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}]
            )
        self.update(self.wanted)
        return self.id

    def read(self) -> Values:
        group = self._find()
        return {
            "name": group["GroupName"],
            "description": group["Description"],
            "egress": _rules_found(group["IpPermissionsEgress"]),
            "ingress": _rules_found(group["IpPermissions"]),
            "owner_id": group["OwnerId"],
            "revoke_rules_on_delete": self.wanted.get("revoke_rules_on_delete"),
            "tags": tags_of(group),
            "vpc_id": group["VpcId"],
        }

    def configured(self) -> Values:
        wanted = super().configured()
        blocks: Values = {way: rules_of(self.id, wanted[way]) for way in ("ingress", "egress") if way in wanted}
        return {**wanted, **blocks}

    def update(self, changed: Values) -> None:
        """What is not wanted any more goes first."""
        self._find()
        for way in ("ingress", "egress"):
            if way in changed:
                before, after = self.state.get(way, set()), rules_of(self.id, changed[way])
                self._ask("revoke", way, before - after)
                self._ask("authorize", way, after - before)

    def destroy(self) -> None:
        self.ec2.describe_network_interfaces(Filters=filters({"group-id": self.id}))
        if self.wanted.get("revoke_rules_on_delete"):
            self._revoke_all()
        with tolerated("InvalidGroup.NotFound"):
            self.ec2.delete_security_group(GroupId=self.id)
        wait_until_gone(self._find, *self.gone)

    def _ask(self, verb: str, way: str, rules: set[Rule]) -> None:
        if rules:
            ask = getattr(self.ec2, f"{verb}_security_group_{way}")
            ask(GroupId=self.id, IpPermissions=permissions_of(rules))

    def _revoke_all(self) -> None:
        """Revoke its own rules, and those of groups that its own name which name it: forceRevokeSecurityGroupRules."""
        group = self._find()
        related = {self.id}
        for permission in [*group["IpPermissions"], *group["IpPermissionsEgress"]]:
            related |= {pair["GroupId"] for pair in permission["UserIdGroupPairs"]}
        wanted = [{"Name": "group-id", "Values": sorted(related)}]
        pages = self.ec2.get_paginator("describe_security_group_rules").paginate(Filters=wanted)
        for rule in [rule for page in pages for rule in page["SecurityGroupRules"]]:
            if self.id in (rule["GroupId"], rule.get("ReferencedGroupInfo", {}).get("GroupId")):
                way = (
                    self.ec2.revoke_security_group_egress
                    if rule["IsEgress"]
                    else self.ec2.revoke_security_group_ingress
                )
                with tolerated("InvalidSecurityGroupRuleId.NotFound", "InvalidGroup.NotFound"):
                    way(GroupId=rule["GroupId"], SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])

    def _find(self) -> Values:
        return only(self.ec2.describe_security_groups(GroupIds=[self.id])["SecurityGroups"])


class AwsSecurityGroupRule(Resource):
    """vpc_security_group_rule.go: found in its group by what it says; only its description is changed.

    `type`: `ingress` or `egress`; the sources as in a block of aws_security_group.
    """

    kind = ""
    gone = ("InvalidGroup.NotFound", "InvalidSecurityGroupID.NotFound")

    def create(self) -> str:
        self._group()
        self._ask("authorize_security_group_{}")
        wait_until(self._is_found)
        return "sgrule-1"

    def read(self) -> Values:
        """The rule that fits is what is configured, but for its description."""
        if not self._is_found():
            raise NotFoundError
        found = {it.description for it in self._found() if it._replace(description="") in self._without_description()}
        return {**self.wanted, "description": only([{"it": it} for it in found])["it"]}

    def update(self, changed: Values) -> None:
        assert changed.keys() == {"description"}, "the provider would make another one"
        self._ask("update_security_group_rule_descriptions_{}")

    def destroy(self) -> None:
        self._group()
        with tolerated("InvalidPermission.NotFound"):
            self._ask("revoke_security_group_{}")

    def _ask(self, operation: str) -> None:
        ask = getattr(self.ec2, operation.format(self.wanted["type"]))
        ask(GroupId=self.wanted["security_group_id"], IpPermissions=permissions_of(self._rules()))

    def _rules(self) -> set[Rule]:
        return rules_of(self.wanted["security_group_id"], [self.wanted])

    def _without_description(self) -> set[Rule]:
        return {it._replace(description="") for it in self._rules()}

    def _is_found(self) -> bool:
        return self._without_description() <= {it._replace(description="") for it in self._found()}

    def _found(self) -> set[Rule]:
        group = self._group()
        return _rules_found(group["IpPermissions" if self.wanted["type"] == "ingress" else "IpPermissionsEgress"])

    def _group(self) -> Values:
        asked = self.ec2.describe_security_groups(GroupIds=[self.wanted["security_group_id"]])
        return only(asked["SecurityGroups"])


class AwsVpcSecurityGroupRule(Resource):
    """vpc_security_group_ingress_rule.go, and with `egress` vpc_security_group_egress_rule.go."""

    kind = "security-group-rule"
    gone = ("InvalidSecurityGroupRuleId.NotFound",)

    def create(self) -> str:
        permission = self._permission()
        made = self._by_way("authorize")(GroupId=self.wanted["security_group_id"], IpPermissions=[permission])
        self.id = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
        self.create_tags()
        return self.id

    def read(self) -> Values:
        rule = only(self.ec2.describe_security_group_rules(SecurityGroupRuleIds=[self.id])["SecurityGroupRules"])
        referenced = rule.get("ReferencedGroupInfo", {})
        assert referenced.get("UserId", rule["GroupOwnerId"]) == rule["GroupOwnerId"]
        return {
            "arn": rule["SecurityGroupRuleArn"],
            "cidr_ipv4": rule.get("CidrIpv4"),
            "cidr_ipv6": rule.get("CidrIpv6"),
            "description": rule.get("Description"),
            "egress": rule["IsEgress"],
            "from_port": None if rule["FromPort"] == -1 else rule["FromPort"],
            "ip_protocol": rule["IpProtocol"],
            "prefix_list_id": rule.get("PrefixListId"),
            "referenced_security_group_id": referenced.get("GroupId"),
            "security_group_id": rule["GroupId"],
            "tags": tags_of(rule),
            "to_port": None if rule["ToPort"] == -1 else rule["ToPort"],
        }

    def configured(self) -> Values:
        optional = ("cidr_ipv4", "cidr_ipv6", "description", "prefix_list_id", "referenced_security_group_id")
        return {**dict.fromkeys((*optional, "from_port", "to_port")), **super().configured()}

    def update(self, changed: Values) -> None:
        """All of the rule is sent, whatever of it changes."""
        assert not changed.keys() & {"security_group_id", "egress"}, "the provider would make another one"
        members = {
            "CidrIpv4": "cidr_ipv4",
            "CidrIpv6": "cidr_ipv6",
            "Description": "description",
            "FromPort": "from_port",
            "IpProtocol": "ip_protocol",
            "PrefixListId": "prefix_list_id",
            "ReferencedGroupId": "referenced_security_group_id",
            "ToPort": "to_port",
        }
        rule = {member: self.wanted[name] for member, name in members.items() if self.wanted.get(name) is not None}
        self.ec2.modify_security_group_rules(
            GroupId=self.wanted["security_group_id"],
            SecurityGroupRules=[{"SecurityGroupRuleId": self.id, "SecurityGroupRule": rule}],
        )

    def destroy(self) -> None:
        revoke = self._by_way("revoke")
        with tolerated("InvalidGroup.NotFound", "InvalidSecurityGroupRuleId.NotFound"):
            revoke(GroupId=self.wanted["security_group_id"], SecurityGroupRuleIds=[self.id])

    def _by_way(self, verb: str) -> Any:
        return getattr(self.ec2, f"{verb}_security_group_{'egress' if self.wanted['egress'] else 'ingress'}")

    def _permission(self) -> Values:
        wanted = self.wanted
        ports = {"FromPort": wanted.get("from_port"), "ToPort": wanted.get("to_port")}
        said = {"Description": wanted["description"]} if wanted.get("description") else {}
        source = next(
            {name: [{member: wanted[attribute], **said}]}
            for attribute, name, member in (
                ("cidr_ipv4", "IpRanges", "CidrIp"),
                ("cidr_ipv6", "Ipv6Ranges", "CidrIpv6"),
                ("prefix_list_id", "PrefixListIds", "PrefixListId"),
                ("referenced_security_group_id", "UserIdGroupPairs", "GroupId"),
            )
            if wanted.get(attribute)
        )
        given_ports = {name: value for name, value in ports.items() if value is not None}
        return {"IpProtocol": wanted["ip_protocol"], **given_ports, **source}
