"""Instance type operations, answered from the catalogue (`domain/instance_type.py`)."""

from dataclasses import dataclass

from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.instance_type import INSTANCE_TYPES, InstanceType
from bakehouse.domain.region import zone_id, zones
from bakehouse.ec2.filters import Filters, flag
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

FILTERS: Filters[InstanceType] = Filters(
    {
        "auto-recovery-supported": lambda _kind: ["false"],
        "bare-metal": lambda _kind: ["false"],
        "burstable-performance-supported": lambda kind: [flag(kind.burstable)],
        "current-generation": lambda kind: [flag(kind.current_generation)],
        "dedicated-hosts-supported": lambda _kind: ["false"],
        "ebs-info.ebs-optimized-support": lambda _kind: ["unsupported"],
        "ebs-info.encryption-support": lambda _kind: ["unsupported"],
        "ebs-info.nvme-support": lambda kind: [_nvme(kind)],
        "free-tier-eligible": lambda kind: [flag(kind.free_tier)],
        "hibernation-supported": lambda _kind: ["false"],
        "hypervisor": lambda kind: [kind.hypervisor],
        "instance-storage-supported": lambda _kind: ["false"],
        "instance-type": lambda kind: [kind.name],
        "memory-info.size-in-mib": lambda kind: [str(kind.memory_mib)],
        "network-info.efa-supported": lambda _kind: ["false"],
        "network-info.ena-support": lambda _kind: ["unsupported"],
        "network-info.encryption-in-transit-supported": lambda _kind: ["false"],
        "network-info.ipv4-addresses-per-interface": lambda kind: [str(kind.addresses_per_interface)],
        "network-info.ipv6-supported": lambda _kind: ["false"],
        "network-info.maximum-network-interfaces": lambda kind: [str(kind.max_interfaces)],
        "network-info.network-performance": lambda kind: [kind.network_performance],
        "nitro-enclaves-support": lambda _kind: ["unsupported"],
        "nitro-tpm-support": lambda _kind: ["unsupported"],
        "processor-info.supported-architecture": lambda kind: kind.architectures,
        "processor-info.sustained-clock-speed-in-ghz": lambda kind: [str(kind.clock_ghz)],
        "supported-boot-mode": lambda _kind: ["legacy-bios"],
        "supported-root-device-type": lambda _kind: ["ebs"],
        "supported-usage-class": lambda _kind: ["on-demand"],
        "supported-virtualization-type": lambda _kind: ["hvm"],
        "vcpu-info.default-cores": lambda kind: [str(_cores(kind))],
        "vcpu-info.default-threads-per-core": lambda kind: [str(kind.threads_per_core)],
        "vcpu-info.default-vcpus": lambda kind: [str(kind.vcpus)],
    }
)


@dataclass(frozen=True, slots=True)
class Offering:
    """A type at a place."""

    instance_type: str
    location: str


OFFERING_FILTERS: Filters[Offering] = Filters(
    {
        "instance-type": lambda offering: [offering.instance_type],
        "location": lambda offering: [offering.location],
    }
)


@operation("DescribeInstanceTypes", honours="InstanceTypes Filters MaxResults NextToken IncludeUnsupportedInRegion")
async def describe_instance_types(ctx: RequestContext, request: Request) -> Response:
    """List the types that instances can have here."""
    matches = FILTERS.compile(request)
    wanted = request.get("InstanceTypes") or list(INSTANCE_TYPES)
    unknown = [name for name in wanted if name not in INSTANCE_TYPES]
    if unknown:
        raise Ec2Error(
            "InvalidInstanceType", f"The following supplied instance types do not exist: [{', '.join(unknown)}]"
        )
    kinds = [INSTANCE_TYPES[name] for name in sorted(set(wanted)) if matches(INSTANCE_TYPES[name])]
    shown, token = page(ctx, request, kinds, key=lambda kind: kind.name, sizes=(5, 100), ids="InstanceTypes")
    return {"InstanceTypes": [_view(kind) for kind in shown], "NextToken": token}


@operation("DescribeInstanceTypeOfferings", honours="LocationType Filters MaxResults NextToken")
async def describe_instance_type_offerings(ctx: RequestContext, request: Request) -> Response:
    """List where types are offered: everywhere in the caller's region."""
    matches = OFFERING_FILTERS.compile(request)
    location_type = request.get("LocationType", "region")
    locations = {
        "region": (ctx.caller.region,),
        "availability-zone": zones(ctx.caller.region),
        "availability-zone-id": tuple(map(zone_id, zones(ctx.caller.region))),
    }.get(location_type, ())
    offerings = [Offering(name, location) for name in sorted(INSTANCE_TYPES) for location in locations]
    shown, token = page(
        ctx,
        request,
        [offering for offering in offerings if matches(offering)],
        key=lambda offering: f"{offering.instance_type}@{offering.location}",
        sizes=(5, 1000),
    )
    return {
        "InstanceTypeOfferings": [
            {"InstanceType": offering.instance_type, "LocationType": location_type, "Location": offering.location}
            for offering in shown
        ],
        "NextToken": token,
    }


def _cores(kind: InstanceType) -> int:
    return max(1, kind.vcpus // kind.threads_per_core)


def _nvme(kind: InstanceType) -> str:
    return "required" if kind.hypervisor == "nitro" else "supported"


def _view(kind: InstanceType) -> Response:
    return {
        "InstanceType": kind.name,
        "CurrentGeneration": kind.current_generation,
        "FreeTierEligible": kind.free_tier,
        "SupportedUsageClasses": ["on-demand"],
        "SupportedRootDeviceTypes": ["ebs"],
        "SupportedVirtualizationTypes": ["hvm"],
        "BareMetal": False,
        "Hypervisor": kind.hypervisor,
        "ProcessorInfo": {
            "SupportedArchitectures": list(kind.architectures),
            "SustainedClockSpeedInGhz": kind.clock_ghz,
        },
        "VCpuInfo": {
            "DefaultVCpus": kind.vcpus,
            "DefaultCores": _cores(kind),
            "DefaultThreadsPerCore": kind.threads_per_core,
        },
        "MemoryInfo": {"SizeInMiB": kind.memory_mib},
        "InstanceStorageSupported": False,
        "EbsInfo": {
            "EbsOptimizedSupport": "unsupported",
            "EncryptionSupport": "unsupported",
            "NvmeSupport": _nvme(kind),
            "MaximumEbsAttachments": kind.max_volumes,
            "AttachmentLimitType": "dedicated",
        },
        "NetworkInfo": {
            "NetworkPerformance": kind.network_performance,
            "MaximumNetworkInterfaces": kind.max_interfaces,
            "MaximumNetworkCards": 1,
            "DefaultNetworkCardIndex": 0,
            "NetworkCards": [
                {
                    "NetworkCardIndex": 0,
                    "NetworkPerformance": kind.network_performance,
                    "MaximumNetworkInterfaces": kind.max_interfaces,
                }
            ],
            "Ipv4AddressesPerInterface": kind.addresses_per_interface,
            "Ipv6AddressesPerInterface": 0,
            "Ipv6Supported": False,
            "EnaSupport": "unsupported",
            "EfaSupported": False,
            "EncryptionInTransitSupported": False,
        },
        "PlacementGroupInfo": {"SupportedStrategies": []},
        "HibernationSupported": False,
        "BurstablePerformanceSupported": kind.burstable,
        "DedicatedHostsSupported": False,
        "AutoRecoverySupported": False,
        "SupportedBootModes": ["legacy-bios"],
        "NitroEnclavesSupport": "unsupported",
        "NitroTpmSupport": "unsupported",
    }
