"""Status checks and scheduled events of instances."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from bakehouse.app.instance_details import InstanceDetails
from bakehouse.domain.instance import Instance, InstanceState
from bakehouse.domain.instance_event import ScheduledEvent, shown_events
from bakehouse.domain.instance_health import Health, guest_health, host_health, volume_health
from bakehouse.domain.region import zone_id
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.instance_filters import moment
from bakehouse.ec2.instance_views import STATES
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

#: What each status says of its one detail. Source: EC2 API Reference, InstanceStatusDetails, status.
_DETAILS: Final = {Health.OK: "passed", Health.IMPAIRED: "failed", Health.INITIALIZING: "initializing"}

Check = Callable[[Instance], tuple[Health, datetime | None]]


def _status(check: Check) -> Callable[[InstanceDetails], Iterable[str]]:
    return lambda it: (check(it.instance)[0].value,)


def _reachability(check: Check) -> Callable[[InstanceDetails], Iterable[str]]:
    return lambda it: [_DETAILS[health] for health in (check(it.instance)[0],) if health in _DETAILS]


def _events(value: Callable[[ScheduledEvent], str | None]) -> Callable[[InstanceDetails], Iterable[str | None]]:
    return lambda it: [value(event) for event in _shown(it.instance)]


def _moment(at: datetime | None) -> str | None:
    return None if at is None else moment(at)


def _nothing(_details: InstanceDetails) -> Iterable[str]:
    return ()


def _shown(instance: Instance) -> list[ScheduledEvent]:
    return shown_events(instance.events, datetime.now(UTC)) if instance.events else []


#: Source: EC2 API Reference, DescribeInstanceStatus, Filters.
FILTERS: Final[Filters[InstanceDetails]] = Filters(
    {
        "application-status.status": lambda _it: ("not-applicable",),
        "attached-ebs-status.status": _status(volume_health),
        "availability-zone": lambda it: (it.instance.availability_zone,),
        "availability-zone-id": lambda it: (zone_id(it.instance.availability_zone),),
        "event.code": _events(lambda event: event.code.value),
        "event.description": _events(lambda event: event.description),
        "event.instance-event-id": _events(lambda event: event.id),
        "event.not-after": _events(lambda event: _moment(event.not_after)),
        "event.not-before": _events(lambda event: _moment(event.not_before)),
        "event.not-before-deadline": _events(lambda event: _moment(event.deadline)),
        "instance-state-code": lambda it: (str(it.instance.state.code),),
        "instance-state-name": lambda it: (it.instance.state.value,),
        "instance-status.reachability": _reachability(guest_health),
        "instance-status.status": _status(guest_health),
        "operator.managed": lambda _it: ("false",),
        "operator.principal": _nothing,
        "system-status.reachability": _reachability(host_health),
        "system-status.status": _status(host_health),
    }
)


@operation(
    "DescribeInstanceStatus",
    honours="InstanceIds Filters MaxResults NextToken IncludeAllInstances IncludeManagedResources",
)
async def describe_instance_status(ctx: RequestContext, request: Request) -> Response:
    """List how running instances are, or all with IncludeAllInstances. Guests not yet heard of are asked once more."""
    _statuses(ctx, request)  # A request that is refused asks nobody.
    await ctx.app.instance_health.look_for(
        it.instance for it in ctx.app.instances.describe(ctx.caller, request.get("InstanceIds"))
    )
    shown, token = _statuses(ctx, request)
    return {"InstanceStatuses": [_view(it) for it in shown], "NextToken": token}


def _statuses(ctx: RequestContext, request: Request) -> tuple[Sequence[InstanceDetails], str | None]:
    matches = FILTERS.compile(request)
    every, ids = request.get("IncludeAllInstances", False), request.get("InstanceIds")
    details = [
        it
        for it in ctx.app.instances.describe(ctx.caller, ids)
        if (every or it.instance.state is InstanceState.RUNNING) and matches(it)
    ]
    return page(ctx, request, details, key=lambda it: it.instance.id, sizes=(5, 1000), ids="InstanceIds")


@operation("ReportInstanceStatus", honours="Instances Status ReasonCodes StartTime EndTime Description")
async def report_instance_status(ctx: RequestContext, request: Request) -> Response:
    """Write down what an owner says of instances, in the server's log. No status changes by it, as on EC2."""
    await ctx.app.instance_health.report(
        ctx.caller, request["Instances"], status=request["Status"], reasons=request["ReasonCodes"]
    )
    return {}


@operation("ModifyInstanceEventStartTime", honours="InstanceId InstanceEventId NotBefore")
async def modify_instance_event_start_time(ctx: RequestContext, request: Request) -> Response:
    """Let a scheduled event begin at another time."""
    event = await ctx.app.instance_events.move(
        ctx.caller, request["InstanceId"], request["InstanceEventId"], request["NotBefore"]
    )
    return {"Event": _event(event)}


def _view(details: InstanceDetails) -> Mapping[str, Any]:
    instance = details.instance
    return {
        "InstanceId": instance.id,
        "AvailabilityZone": instance.availability_zone,
        "AvailabilityZoneId": zone_id(instance.availability_zone),
        "InstanceState": STATES[instance.state],
        "InstanceStatus": _summary(*guest_health(instance)),
        "SystemStatus": _summary(*host_health(instance)),
        "AttachedEbsStatus": _summary(*volume_health(instance)),
        "Events": [_event(event) for event in _shown(instance)] or None,
    }


def _summary(health: Health, impaired_since: datetime | None) -> Mapping[str, Any]:
    if health is Health.NOT_APPLICABLE:
        return {"Status": health.value}
    detail = {"Name": "reachability", "Status": _DETAILS[health], "ImpairedSince": impaired_since}
    return {"Status": health.value, "Details": [detail]}


def _event(event: ScheduledEvent) -> Mapping[str, Any]:
    return {
        "InstanceEventId": event.id,
        "Code": event.code.value,
        "Description": event.description,
        "NotAfter": event.not_after,
        "NotBefore": event.not_before,
        "NotBeforeDeadline": event.deadline,
    }
