"""IpPermissions on the wire: read into permissions, and shown grouped by protocol and ports."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bakehouse.domain.errors import invalid_combination, missing_parameter, not_found
from bakehouse.domain.security_group import Permission, SecurityGroupRule, cidr_of, ports_of, protocol_of
from bakehouse.ec2.registry import Request, RequestContext

_FLAT = ("IpProtocol", "FromPort", "ToPort", "CidrIp", "SourceSecurityGroupName")


def requested_permissions(ctx: RequestContext, request: Request, vpc_id: str) -> list[Permission]:
    """Return the permissions that a request names, in IpPermissions or in the older flat members.

    Refuses both forms together, and neither. Source: EC2 API Reference, AuthorizeSecurityGroupIngress.
    """
    flat = {member: request[member] for member in _FLAT if member in request}
    given = request.get("IpPermissions")
    if given and flat:
        raise invalid_combination("The request cannot have both IpPermissions and " + ", ".join(flat))
    if flat:
        given = [_from_flat(flat)]
    if not given:
        raise missing_parameter("ipPermissions")
    return [permission for entry in given for permission in _read(ctx, entry, vpc_id)]


def names_permissions(request: Request) -> bool:
    """Tell whether a request names permissions, in either form."""
    return bool(request.get("IpPermissions")) or any(member in request for member in _FLAT)


def _from_flat(flat: Mapping[str, Any]) -> Mapping[str, Any]:
    entry: dict[str, Any] = {name: flat[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in flat}
    if "CidrIp" in flat:
        entry["IpRanges"] = [{"CidrIp": flat["CidrIp"]}]
    if "SourceSecurityGroupName" in flat:
        entry["UserIdGroupPairs"] = [{"GroupName": flat["SourceSecurityGroupName"]}]
        entry.setdefault("IpProtocol", "-1")
    return entry


def _read(ctx: RequestContext, entry: Mapping[str, Any], vpc_id: str) -> Iterator[Permission]:
    if "IpProtocol" not in entry:
        raise missing_parameter("ipProtocol")
    protocol = protocol_of(entry["IpProtocol"])
    first, last = ports_of(protocol, entry.get("FromPort"), entry.get("ToPort"))
    peers = list(_peers(ctx, entry, vpc_id))
    if not peers:
        raise missing_parameter("ipRanges, ipv6Ranges, prefixListIds or groups")
    for peer in peers:
        yield Permission(protocol=protocol, from_port=first, to_port=last, **peer)


def _peers(ctx: RequestContext, entry: Mapping[str, Any], vpc_id: str) -> Iterator[dict[str, str | None]]:
    for ipv4 in entry.get("IpRanges") or ():
        yield {"cidr_ipv4": cidr_of(ipv4.get("CidrIp", ""), 4), "description": ipv4.get("Description")}
    for ipv6 in entry.get("Ipv6Ranges") or ():
        yield {"cidr_ipv6": cidr_of(ipv6.get("CidrIpv6", ""), 6), "description": ipv6.get("Description")}
    for named in entry.get("PrefixListIds") or ():
        prefix_list = ctx.app.prefix_lists.one(ctx.caller, named.get("PrefixListId", ""))
        yield {"prefix_list_id": prefix_list.id, "description": named.get("Description")}
    for pair in entry.get("UserIdGroupPairs") or ():
        yield {"referenced_group_id": _peer_group(ctx, pair, vpc_id), "description": pair.get("Description")}


def _peer_group(ctx: RequestContext, pair: Mapping[str, Any], vpc_id: str) -> str:
    """Return the id of the group that a pair names: the caller's, in the same VPC, as there is no peering."""
    group_id: str | None = pair.get("GroupId")
    name: str | None = pair.get("GroupName")
    if group_id and name:
        raise invalid_combination("The parameter GroupName cannot be used with the parameter GroupId")
    peer = group_id or name
    if not peer:
        raise missing_parameter("groupId")
    if pair.get("UserId", ctx.caller.account_id) != ctx.caller.account_id or pair.get("VpcId", vpc_id) != vpc_id:
        raise not_found("security-group", [peer])
    return group_id or ctx.app.security_groups.named(ctx.caller, peer, vpc_id).id


def permission_views(rules: Iterable[SecurityGroupRule], account_id: str) -> list[dict[str, Any]]:
    """Return rules as IpPermissions: one entry for each protocol and port range."""
    entries: dict[tuple[str, int | None, int | None], dict[str, Any]] = {}
    for rule in rules:
        key = (rule.protocol, rule.from_port, rule.to_port)
        if key not in entries:
            ports = {} if rule.from_port is None else {"FromPort": rule.from_port, "ToPort": rule.to_port}
            entries[key] = {
                "IpProtocol": rule.protocol,
                **ports,
                "IpRanges": [],
                "Ipv6Ranges": [],
                "PrefixListIds": [],
                "UserIdGroupPairs": [],
            }
        description = {"Description": rule.description}
        if rule.cidr_ipv4 is not None:
            entries[key]["IpRanges"].append({"CidrIp": rule.cidr_ipv4} | description)
        elif rule.cidr_ipv6 is not None:
            entries[key]["Ipv6Ranges"].append({"CidrIpv6": rule.cidr_ipv6} | description)
        elif rule.prefix_list_id is not None:
            entries[key]["PrefixListIds"].append({"PrefixListId": rule.prefix_list_id} | description)
        else:
            pair = {"GroupId": rule.referenced_group_id, "UserId": account_id}
            entries[key]["UserIdGroupPairs"].append(pair | description)
    return list(entries.values())
