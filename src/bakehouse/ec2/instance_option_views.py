"""The options of an instance on the wire, as DescribeInstances shows them."""

from collections.abc import Mapping
from typing import Any

from bakehouse.domain.instance import Instance, InstanceState
from bakehouse.domain.instance_options import CpuOptions, PrivateNames, usual_cpu_options
from bakehouse.domain.instance_type import INSTANCE_TYPES
from bakehouse.domain.metadata_options import MetadataOptions


def option_views(instance: Instance) -> dict[str, Any]:
    """Return the members that show options."""
    profile = instance.profile
    return {
        "IamInstanceProfile": None if profile is None else {"Arn": profile.profile_arn, "Id": profile.profile_id},
        "Monitoring": {"State": monitoring_state(instance)},
        "CpuOptions": cpu_options_view(cpu_options(instance)),
        "MetadataOptions": {
            **metadata_options_view(instance.metadata_options),
            "State": metadata_options_state(instance),
        },
        "MaintenanceOptions": {
            "AutoRecovery": instance.maintenance.auto_recovery,
            "RebootMigration": instance.maintenance.reboot_migration,
        },
    }


def metadata_options_state(instance: Instance) -> str:
    """Return whether its options hold yet. Source: EC2 CLI examples, `run-instances`: `pending` with the instance."""
    return "pending" if instance.state is InstanceState.PENDING else "applied"


def monitoring_state(instance: Instance) -> str:
    """Return whether its owner has asked for detailed monitoring."""
    return "enabled" if instance.monitoring else "disabled"


def cpu_options(instance: Instance) -> CpuOptions:
    """Return the processors of an instance: those asked for, or its type's."""
    return instance.cpu_options or usual_cpu_options(INSTANCE_TYPES[instance.type])


def cpu_options_view(options: CpuOptions) -> Mapping[str, Any]:
    """Return CpuOptions."""
    return {"CoreCount": options.core_count, "ThreadsPerCore": options.threads_per_core}


def metadata_options_view(options: MetadataOptions) -> Mapping[str, Any]:
    """Return InstanceMetadataOptions."""
    return {
        "State": "applied",
        "HttpTokens": "required" if options.tokens_required else "optional",
        "HttpPutResponseHopLimit": options.hop_limit,
        "HttpEndpoint": "enabled" if options.endpoint_enabled else "disabled",
        "HttpProtocolIpv6": "disabled",
        "InstanceMetadataTags": "enabled" if options.tags_enabled else "disabled",
    }


def private_name_options_view(names: PrivateNames) -> Mapping[str, Any]:
    """Return PrivateDnsNameOptions."""
    return {
        "HostnameType": names.hostname_type,
        "EnableResourceNameDnsARecord": names.resource_name_a_record,
        "EnableResourceNameDnsAAAARecord": names.resource_name_aaaa_record,
    }
