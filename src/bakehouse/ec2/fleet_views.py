"""Fleets on the wire."""

from collections.abc import Mapping
from typing import Any, Final

from bakehouse.domain.fleet import Fleet, FleetError, FleetLaunch, Pool
from bakehouse.ec2.registry import Response
from bakehouse.ec2.tag_specifications import tag_set

#: Source: EC2 API Reference, FleetData, ActivityStatus: "this is the only possible status for instant fleets".
ACTIVITY: Final = "fulfilled"

#: Members of a request that an answer has not. Source: EC2 API Reference, FleetLaunchTemplateSpecification,
#: FleetLaunchTemplateOverrides, PlacementResponse.
_UNTOLD_OF_TEMPLATE: Final = ("LaunchTemplateSpecificationUserData",)
_UNTOLD_OF_OVERRIDES: Final = ("IamInstanceProfile", "KeyName", "MetadataOptions")
_TOLD_OF_PLACEMENT: Final = ("GroupName",)


def made(fleet: Fleet) -> Response:
    """Return what CreateFleet answers of a fleet."""
    return {
        "FleetId": fleet.id,
        "Errors": [_error(fleet, it) for it in fleet.errors],
        "Instances": [_launch(fleet, it) for it in fleet.launches],
    }


def _pool(pool: Pool) -> Mapping[str, Any]:
    return {"LaunchTemplateSpecification": _template(pool.template), "Overrides": _override(pool.override)}


def _config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        **config,
        "LaunchTemplateSpecification": _template(config["LaunchTemplateSpecification"]),
        "Overrides": [_override(it) for it in config.get("Overrides") or ()],
    }


def _template(given: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in given.items() if name not in _UNTOLD_OF_TEMPLATE}


def _override(given: Mapping[str, Any]) -> Mapping[str, Any]:
    told = {name: value for name, value in given.items() if name not in _UNTOLD_OF_OVERRIDES}
    if "Placement" in told:
        told["Placement"] = {name: it for name, it in told["Placement"].items() if name in _TOLD_OF_PLACEMENT}
    return told


def _error(fleet: Fleet, error: FleetError) -> Mapping[str, Any]:
    return {
        "LaunchTemplateAndOverrides": _pool(fleet.pools[error.pool]),
        "Lifecycle": error.lifecycle,
        "ErrorCode": error.code,
        "ErrorMessage": error.message,
    }


def _launch(fleet: Fleet, launch: FleetLaunch) -> Mapping[str, Any]:
    return {
        "LaunchTemplateAndOverrides": _pool(fleet.pools[launch.pool]),
        "Lifecycle": launch.lifecycle,
        "InstanceIds": list(launch.instance_ids),
        "InstanceType": launch.instance_type,
    }


def fleet_view(fleet: Fleet, state: str) -> Mapping[str, Any]:
    """Return FleetData. An instant fleet is `fulfilled` once its requests were placed, whatever came of them."""
    capacity = fleet.capacity
    return {
        **made(fleet),
        "ActivityStatus": ACTIVITY,
        "CreateTime": fleet.created_at,
        "FleetState": state,
        "ClientToken": fleet.client_token,
        "FulfilledCapacity": fleet.fulfilled("on-demand", "spot"),
        "FulfilledOnDemandCapacity": fleet.fulfilled("on-demand"),
        "LaunchTemplateConfigs": [_config(it) for it in fleet.configs],
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": capacity.total,
            "OnDemandTargetCapacity": capacity.on_demand,
            "SpotTargetCapacity": capacity.spot,
            "DefaultTargetCapacityType": capacity.default,
        },
        "TerminateInstancesWithExpiration": False,
        "Type": "instant",
        "ReplaceUnhealthyInstances": False,
        "Tags": tag_set(fleet.tags) or None,
        **fleet.options,
    }
