"""The options of RunInstances that say how an instance is, not what is in it; launch templates have them too."""

from collections.abc import Mapping
from typing import Any, Final

from bakehouse.app.launch_options import LaunchOptions
from bakehouse.app.profile_associations import ProfileReference
from bakehouse.domain.errors import not_honoured
from bakehouse.domain.instance_options import Maintenance, NameRequest
from bakehouse.domain.metadata_options import MetadataPreferences, check_hop_limit
from bakehouse.ec2.registry import Request

HONOURED: Final = (
    "CapacityReservationSpecification.CapacityReservationPreference "
    "CpuOptions.CoreCount CpuOptions.ThreadsPerCore CreditSpecification.CpuCredits "
    "HibernationOptions.Configured IamInstanceProfile.Arn IamInstanceProfile.Name MaintenanceOptions.AutoRecovery "
    "MetadataOptions.HttpTokens MetadataOptions.HttpPutResponseHopLimit MetadataOptions.HttpEndpoint "
    "MetadataOptions.InstanceMetadataTags Monitoring.Enabled "
    "PrivateDnsNameOptions.EnableResourceNameDnsAAAARecord PrivateDnsNameOptions.EnableResourceNameDnsARecord "
    "PrivateDnsNameOptions.HostnameType"
)


def launch_options(request: Request) -> LaunchOptions:
    """Return what a launch asks for."""
    cpu = request.get("CpuOptions") or {}
    names = request.get("PrivateDnsNameOptions") or {}
    return LaunchOptions(
        metadata=metadata_preferences(request.get("MetadataOptions") or {}),
        core_count=cpu.get("CoreCount"),
        threads_per_core=cpu.get("ThreadsPerCore"),
        cpu_credits=(request.get("CreditSpecification") or {}).get("CpuCredits"),
        names=NameRequest(
            hostname_type=names.get("HostnameType"),
            resource_name_a_record=names.get("EnableResourceNameDnsARecord"),
            resource_name_aaaa_record=names.get("EnableResourceNameDnsAAAARecord"),
        ),
        maintenance=Maintenance(
            auto_recovery=(request.get("MaintenanceOptions") or {}).get("AutoRecovery", "default"),
        ),
        profile=profile_reference(request["IamInstanceProfile"]) if request.get("IamInstanceProfile") else None,
        hibernation=(request.get("HibernationOptions") or {}).get("Configured", False),
        capacity_preference=capacity_preference(request.get("CapacityReservationSpecification") or {}),
        monitoring=(request.get("Monitoring") or {}).get("Enabled", False),
    )


def capacity_preference(given: Mapping[str, Any]) -> str:
    """Read whether an open Capacity Reservation may be used. As there is none, nothing runs in reservations only."""
    preference: str = given.get("CapacityReservationPreference", "open")
    if preference == "capacity-reservations-only":
        raise not_honoured(f"CapacityReservationPreference={preference}", "There are no Capacity Reservations here.")
    return preference


def profile_reference(given: Mapping[str, Any]) -> ProfileReference:
    """Read which instance profile is meant."""
    return ProfileReference(arn=given.get("Arn"), name=given.get("Name"))


def metadata_preferences(given: Mapping[str, Any]) -> MetadataPreferences:
    """Read the members that say how a guest may ask the metadata service; one that is not there is no preference."""
    hop_limit = given.get("HttpPutResponseHopLimit")
    if hop_limit is not None:
        check_hop_limit(hop_limit)
    return MetadataPreferences(
        tokens_required=_choice(given, "HttpTokens", "required"),
        endpoint_enabled=_choice(given, "HttpEndpoint", "enabled"),
        hop_limit=hop_limit,
        tags_enabled=_choice(given, "InstanceMetadataTags", "enabled"),
    )


def _choice(given: Mapping[str, Any], member: str, yes: str) -> bool | None:
    return given[member] == yes if member in given else None
