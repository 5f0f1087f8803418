"""DescribeInstanceStatus."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from bakehouse.app.instance_details import InstanceDetails
from bakehouse.domain.instance import Instance, InstanceState
from bakehouse.domain.region import zone_id
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.instance_views import STATES
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

_NOT_APPLICABLE: Final = {"Status": "not-applicable"}
_OK: Final = {"Status": "ok", "Details": [{"Name": "reachability", "Status": "passed"}]}


def _health(details: InstanceDetails) -> str:
    """Return the instance's own status: a guest that has panicked or stands still is impaired, every other well."""
    if details.instance.state is not InstanceState.RUNNING:
        return "not-applicable"
    return "ok" if _impaired_since(details.instance) is None else "impaired"


def _impaired_since(instance: Instance) -> datetime | None:
    return instance.impaired_since or instance.storage_full_since


def _ebs_health(details: InstanceDetails) -> str:
    """Return whether its volumes complete what it writes.

    Source: EC2 User Guide, "Status checks for your instances", attached EBS status checks.
    """
    if details.instance.state is InstanceState.RUNNING and details.instance.storage_full_since is not None:
        return "impaired"
    return _host_health(details)


def _host_health(details: InstanceDetails) -> str:
    return "ok" if details.instance.state is InstanceState.RUNNING else "not-applicable"


def _reachability(health: str) -> Iterable[str]:
    return {"ok": ("passed",), "impaired": ("failed",)}.get(health, ())


def _nothing(_details: InstanceDetails) -> Iterable[str]:
    return ()


#: Source: EC2 API Reference, DescribeInstanceStatus, Filters. No events are ever scheduled.
FILTERS: Final[Filters[InstanceDetails]] = Filters(
    {
        "application-status.status": lambda _it: ("not-applicable",),
        "attached-ebs-status.status": lambda it: (_ebs_health(it),),
        "availability-zone": lambda it: (it.instance.availability_zone,),
        "availability-zone-id": lambda it: (zone_id(it.instance.availability_zone),),
        "instance-state-code": lambda it: (str(it.instance.state.code),),
        "instance-state-name": lambda it: (it.instance.state.value,),
        "instance-status.reachability": lambda it: _reachability(_health(it)),
        "instance-status.status": lambda it: (_health(it),),
        "operator.managed": lambda _it: ("false",),
        "system-status.reachability": lambda it: _reachability(_host_health(it)),
        "system-status.status": lambda it: (_host_health(it),),
        **dict.fromkeys(
            (
                "event.code",
                "event.description",
                "event.instance-event-id",
                "event.not-after",
                "event.not-before",
                "event.not-before-deadline",
                "operator.principal",
            ),
            _nothing,
        ),
    }
)


@operation(
    "DescribeInstanceStatus",
    honours="InstanceIds Filters MaxResults NextToken IncludeAllInstances IncludeManagedResources",
)
async def describe_instance_status(ctx: RequestContext, request: Request) -> Response:
    """List how running instances are, or all with IncludeAllInstances."""
    matches = FILTERS.compile(request)
    every = request.get("IncludeAllInstances", False)
    details = [
        it
        for it in ctx.app.instances.describe(ctx.caller, request.get("InstanceIds"))
        if (every or it.instance.state is InstanceState.RUNNING) and matches(it)
    ]
    shown, token = page(ctx, request, details, key=lambda it: it.instance.id, sizes=(5, 1000), ids="InstanceIds")
    return {"InstanceStatuses": [_view(it) for it in shown], "NextToken": token}


def _view(details: InstanceDetails) -> Mapping[str, Any]:
    instance = details.instance
    return {
        "InstanceId": instance.id,
        "AvailabilityZone": instance.availability_zone,
        "AvailabilityZoneId": zone_id(instance.availability_zone),
        "InstanceState": STATES[instance.state],
        "InstanceStatus": _status(details.instance, _impaired_since(instance)),
        "SystemStatus": _OK if instance.state is InstanceState.RUNNING else _NOT_APPLICABLE,
        "AttachedEbsStatus": _status(details.instance, instance.storage_full_since),
    }


def _status(instance: Instance, impaired_since: datetime | None) -> Mapping[str, Any]:
    if instance.state is not InstanceState.RUNNING:
        return _NOT_APPLICABLE
    if impaired_since is None:
        return _OK
    failed = {"Name": "reachability", "Status": "failed", "ImpairedSince": impaired_since}
    return {"Status": "impaired", "Details": [failed]}
