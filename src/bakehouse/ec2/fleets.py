"""EC2 fleet operations, for fleets of the type `instant`.

Source: EC2 User Guide, "Configure an EC2 Fleet of type instant": a synchronous request, whose answer has what was
launched and the errors of what was not.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from bakehouse.app.fleet_rounds import Launcher
from bakehouse.app.fleets import FleetOrder
from bakehouse.app.launch import LaunchRequest
from bakehouse.domain.errors import Ec2Error, invalid_combination, invalid_parameter, missing_parameter, not_honoured
from bakehouse.domain.fleet import FLEET_TAG, NOT_DELETABLE, Fleet, Lifecycle, Pool, target_capacity
from bakehouse.ec2.filters import Filters, flag
from bakehouse.ec2.fleet_views import ACTIVITY, fleet_view, made
from bakehouse.ec2.launch_request import launch_request
from bakehouse.ec2.launch_template_data import templated
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.spot_market import check_one_time
from bakehouse.ec2.tag_specifications import requested_tags

#: Members of an override that a launch has alike.
_ALIKE: Final = (
    *("BlockDeviceMappings", "IamInstanceProfile", "ImageId", "InstanceType", "KeyName", "MetadataOptions", "SubnetId"),
)
_USER_DATA: Final = "LaunchTemplateSpecificationUserData"
_OVERRIDES: Final = (*_ALIKE, "AvailabilityZone", "AvailabilityZoneId", "MaxPrice", "Placement", "Priority")

#: Members of which one value says what is so anyhow, and every other value is refused.
_AS_IT_IS: Final[Mapping[str, Any]] = {
    "ExcessCapacityTerminationPolicy": "no-termination",
    "ReplaceUnhealthyInstances": False,
    "SpotOptions.InstancePoolsToUseCount": 1,
    "TargetCapacitySpecification.TargetCapacityUnitType": "units",
    "TerminateInstancesWithExpiration": False,
}

#: Source: EC2 API Reference, DeleteFleets, Restrictions.
_DELETED_AT_ONCE: Final = 25

_HONOURED: Final = " ".join(
    (
        "Type LaunchTemplateConfigs.LaunchTemplateSpecification.LaunchTemplateId",
        "LaunchTemplateConfigs.LaunchTemplateSpecification.LaunchTemplateName",
        f"LaunchTemplateConfigs.LaunchTemplateSpecification.{_USER_DATA}",
        "LaunchTemplateConfigs.LaunchTemplateSpecification.Version LaunchTemplateConfigs.Overrides.WeightedCapacity",
        *(f"LaunchTemplateConfigs.Overrides.{name}" for name in _OVERRIDES),
        "TargetCapacitySpecification.TotalTargetCapacity TargetCapacitySpecification.OnDemandTargetCapacity",
        "TargetCapacitySpecification.SpotTargetCapacity TargetCapacitySpecification.DefaultTargetCapacityType",
        "SpotOptions.AllocationStrategy SpotOptions.InstanceInterruptionBehavior OnDemandOptions.AllocationStrategy",
        "TagSpecifications",
        *_AS_IT_IS,
    )
)

#: Source: EC2 API Reference, DescribeFleets, Filters: states have hyphens there, and underscores where they are shown.
FILTERS: Final[Filters[tuple[Fleet, str]]] = Filters(
    {
        "activity-status": lambda _it: [ACTIVITY],
        "excess-capacity-termination-policy": lambda _it: [flag(value=False)],
        "fleet-state": lambda it: [it[1], it[1].replace("_", "-")],
        "replace-unhealthy-instances": lambda _it: [flag(value=False)],
        "type": lambda _it: ["instant"],
    }
)


async def repeat_fleet(ctx: RequestContext, fleet_id: str) -> Response:
    """Answer a client token that came before with the fleet that it made."""
    return made(ctx.app.fleets.get(ctx.caller, fleet_id))


@operation("CreateFleet", honours=_HONOURED, replay=repeat_fleet)
async def create_fleet(ctx: RequestContext, request: Request) -> Response:
    """Launch instances from templates; those that could not be launched are told as errors."""
    if request.get("Type", "maintain") != "instant":
        raise not_honoured(f"Type={request.get('Type', 'maintain')}", "Only fleets of type instant are honoured.")
    for path, value in _AS_IT_IS.items():
        _refuse_other_than(request, path, value)
    check_one_time(None, (request.get("SpotOptions") or {}).get("InstanceInterruptionBehavior"))
    tags = requested_tags(request, "fleet", "instance", "volume", "network-interface")
    order = FleetOrder(
        capacity=target_capacity(request["TargetCapacitySpecification"]),
        configs=_configs(request),
        options={name: request[name] for name in ("SpotOptions", "OnDemandOptions") if name in request},
        client_token=ctx.caller.idempotency.token if ctx.caller.idempotency else None,
        tags=tags.pop("fleet"),
    )
    return made(await ctx.app.fleets.create(ctx.caller, order, _launcher(ctx, tags)))


@operation("DescribeFleets", honours="FleetIds Filters MaxResults NextToken")
async def describe_fleets(ctx: RequestContext, request: Request) -> Response:
    """Show fleets by their ids: instant ones are not listed otherwise, as on EC2."""
    matches = FILTERS.compile(request)
    fleets = [ctx.app.fleets.get(ctx.caller, it) for it in dict.fromkeys(request.get("FleetIds") or ())]
    found = [it for it in ((fleet, ctx.app.fleets.state(fleet)) for fleet in fleets) if matches(it)]
    shown, token = page(ctx, request, found, key=lambda it: it[0].id, sizes=(1, 1000))
    return {"Fleets": [fleet_view(fleet, state) for fleet, state in shown], "NextToken": token}


@operation("DeleteFleets", honours="FleetIds TerminateInstances")
async def delete_fleets(ctx: RequestContext, request: Request) -> Response:
    """Delete fleets with their instances; each that cannot be deleted is told with its reason."""
    if not request["TerminateInstances"]:
        raise invalid_parameter("A deleted instant fleet with running instances is not supported.")
    if len(set(request["FleetIds"])) > _DELETED_AT_ONCE:
        raise invalid_parameter(f"At most {_DELETED_AT_ONCE} fleets of the type instant can be deleted at once.")
    gone, kept = [], []
    for fleet_id in dict.fromkeys(request["FleetIds"]):
        try:
            before, after = await ctx.app.fleets.delete(ctx.caller, fleet_id)
        except Ec2Error as refusal:
            kept.append({"FleetId": fleet_id, "Error": {"Code": _deletion_code(refusal), "Message": refusal.message}})
            continue
        states = {"CurrentFleetState": ctx.app.fleets.state(after), "PreviousFleetState": ctx.app.fleets.state(before)}
        gone.append({"FleetId": fleet_id, **states})
    return {"SuccessfulFleetDeletions": gone, "UnsuccessfulFleetDeletions": kept}


def _refuse_other_than(request: Request, path: str, value: object) -> None:
    *outer, member = path.split(".")
    given = request
    for name in outer:
        given = given.get(name) or {}
    if member in given and given[member] != value:
        raise not_honoured(f"{path}={given[member]}")


def _configs(request: Request) -> tuple[dict[str, Any], ...]:
    """Return the templates with their overrides, or refuse what no launch of an instant fleet can ask for."""
    configs = request["LaunchTemplateConfigs"]
    if not configs:
        raise missing_parameter("LaunchTemplateConfigs")
    for config in configs:
        named = config.get("LaunchTemplateSpecification")
        if not named:
            raise missing_parameter("LaunchTemplateSpecification")
        if bool(named.get("LaunchTemplateId")) == bool(named.get("LaunchTemplateName")):
            raise invalid_combination("A launch template must be named by its ID or by its name, and not by both.")
        if not named.get("Version"):
            raise missing_parameter("LaunchTemplateSpecification.Version")
        if any("," in override.get("SubnetId", "") for override in config.get("Overrides") or ()):
            raise invalid_parameter("A request of type instant can have only one subnet ID in an override.")
    return tuple(configs)


def _launcher(ctx: RequestContext, tags: Mapping[str, Mapping[str, str]]) -> Launcher:
    """Return what asks for the instances of a pool, with these tags by resource type."""
    # The token is the fleet's; none of its launches may answer for it.
    inner = replace(ctx, caller=replace(ctx.caller, idempotency=None))

    def launcher(fleet: Fleet, pool: Pool, lifecycle: Lifecycle, number: int) -> LaunchRequest:
        whole, template_tags = templated(inner, _request(pool, number, tags))
        wanted = launch_request(inner, _with_market(_with_subnet(whole, pool), pool, lifecycle))
        return replace(wanted, system_tags={**template_tags, FLEET_TAG: fleet.id})

    return launcher


def _request(pool: Pool, number: int, tags: Mapping[str, Mapping[str, str]]) -> Request:
    override = pool.override
    specifications = [
        {"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in of_kind.items()]}
        for kind, of_kind in tags.items()
        if of_kind
    ]
    placement = dict(override.get("Placement") or {})
    placement |= {name: override[name] for name in ("AvailabilityZone", "AvailabilityZoneId") if name in override}
    request: Request = {
        **{name: override[name] for name in _ALIKE if name in override},
        "LaunchTemplate": {name: value for name, value in pool.template.items() if name != _USER_DATA},
        "MinCount": 1,
        "MaxCount": number,
    }
    return (
        request
        | ({"UserData": pool.template[_USER_DATA]} if _USER_DATA in pool.template else {})
        | ({"TagSpecifications": specifications} if specifications else {})
        | ({"Placement": placement} if placement else {})
    )


def _with_market(request: Request, pool: Pool, lifecycle: Lifecycle) -> Request:
    """Return a request for the fleet's market; of the spot market the template says more, the override the price."""
    if lifecycle == "on-demand":
        return {**request, "InstanceMarketOptions": {}}
    options = dict((request.get("InstanceMarketOptions") or {}).get("SpotOptions") or {})
    if "MaxPrice" in pool.override:
        options["MaxPrice"] = pool.override["MaxPrice"]
    return {**request, "InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": options}}


def _with_subnet(request: Request, pool: Pool) -> Request:
    """Return a request whose first network interface is in the override's subnet, if it has interfaces at all."""
    interfaces = request.get("NetworkInterfaces")
    if not interfaces or "SubnetId" not in pool.override:
        return request
    first = {**interfaces[0], "SubnetId": request["SubnetId"]}
    moved = {**request, "NetworkInterfaces": [first, *interfaces[1:]]}
    del moved["SubnetId"]
    return moved


def _deletion_code(refusal: Ec2Error) -> str:
    codes = {
        "InvalidFleetId.NotFound": "fleetIdDoesNotExist",
        "InvalidFleetId.Malformed": "fleetIdMalformed",
        NOT_DELETABLE: NOT_DELETABLE,
    }
    return codes.get(refusal.code, "unexpectedError")
