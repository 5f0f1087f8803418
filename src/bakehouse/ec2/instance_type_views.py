"""How an instance type is shown, and what it can be filtered by.

Sizes and limits are EC2's own. What no machine here has is said to be unsupported, whatever the type has on EC2.
"""

from collections.abc import Callable
from functools import cache
from typing import Final

from bakehouse.domain.hibernation import can_hibernate
from bakehouse.domain.instance_store import has_nvme
from bakehouse.domain.instance_type import MAX_VOLUMES, EbsPerformance, InstanceType, LocalDisks
from bakehouse.ec2.filters import Filters, flag
from bakehouse.ec2.registry import Response


def _figure(number: float | None) -> list[str]:
    """Return a number as filters name it: without a fraction where there is none."""
    return [] if number is None else [f"{number:g}" if number < 10**6 else str(int(number))]


def _ebs(name: str, kind: InstanceType) -> list[str]:
    if kind.ebs_performance is None:
        return []
    return _figure(_ebs_optimized_info(kind.ebs_performance)[name])


def _disks(kind: InstanceType, value: Callable[[LocalDisks], str]) -> list[str]:
    return [] if kind.local_disks is None else [value(kind.local_disks)]


def _nvme_support(kind: InstanceType) -> str:
    return "required" if has_nvme(kind) else "unsupported"


FILTERS: Final[Filters[InstanceType]] = Filters(
    {
        "auto-recovery-supported": lambda kind: [flag(kind.is_recovered)],
        "bare-metal": lambda _kind: ["false"],
        "burstable-performance-supported": lambda kind: [flag(kind.burstable)],
        "current-generation": lambda kind: [flag(kind.current_generation)],
        "dedicated-hosts-supported": lambda _kind: ["false"],
        "ebs-info.attachment-limit-type": lambda _kind: ["dedicated"],
        "ebs-info.ebs-optimized-info.baseline-bandwidth-in-mbps": lambda kind: _ebs("BaselineBandwidthInMbps", kind),
        "ebs-info.ebs-optimized-info.baseline-iops": lambda kind: _ebs("BaselineIops", kind),
        "ebs-info.ebs-optimized-info.baseline-throughput-in-mbps": lambda kind: _ebs("BaselineThroughputInMBps", kind),
        "ebs-info.ebs-optimized-info.maximum-bandwidth-in-mbps": lambda kind: _ebs("MaximumBandwidthInMbps", kind),
        "ebs-info.ebs-optimized-info.maximum-iops": lambda kind: _ebs("MaximumIops", kind),
        "ebs-info.ebs-optimized-info.maximum-throughput-in-mbps": lambda kind: _ebs("MaximumThroughputInMBps", kind),
        "ebs-info.ebs-optimized-support": lambda kind: [kind.ebs_optimized],
        "ebs-info.encryption-support": lambda _kind: ["supported"],
        "ebs-info.maximum-ebs-attachments": lambda _kind: [str(MAX_VOLUMES)],
        "ebs-info.nvme-support": lambda kind: [kind.ebs_nvme],
        "free-tier-eligible": lambda kind: [flag(kind.free_tier)],
        "hibernation-supported": lambda kind: [flag(can_hibernate(kind))],
        "hypervisor": lambda kind: [kind.hypervisor],
        "instance-storage-info.disk.count": lambda kind: _disks(kind, lambda disks: str(disks.count)),
        "instance-storage-info.disk.size-in-gb": lambda kind: _disks(kind, lambda disks: str(disks.size_gb)),
        "instance-storage-info.disk.type": lambda kind: _disks(kind, lambda disks: disks.kind),
        "instance-storage-info.encryption-support": lambda kind: _disks(kind, lambda _disks: "unsupported"),
        "instance-storage-info.nvme-support": lambda kind: _disks(kind, lambda _disks: _nvme_support(kind)),
        "instance-storage-info.total-size-in-gb": lambda kind: _disks(kind, lambda disks: str(disks.total_gb)),
        "instance-storage-supported": lambda kind: [flag(kind.local_disks is not None)],
        "instance-type": lambda kind: [kind.name],
        "memory-info.size-in-mib": lambda kind: [str(kind.memory_mib)],
        "network-info.bandwidth-weightings": lambda _kind: [],
        "network-info.efa-info.maximum-efa-interfaces": lambda _kind: [],
        "network-info.efa-supported": lambda _kind: ["false"],
        "network-info.ena-support": lambda _kind: ["unsupported"],
        "network-info.encryption-in-transit-supported": lambda _kind: ["false"],
        "network-info.flexible-ena-queues-support": lambda _kind: ["unsupported"],
        "network-info.ipv4-addresses-per-interface": lambda kind: [str(kind.addresses_per_interface)],
        "network-info.ipv6-addresses-per-interface": lambda _kind: ["0"],
        "network-info.ipv6-supported": lambda _kind: ["false"],
        "network-info.maximum-network-cards": lambda _kind: ["1"],
        "network-info.maximum-network-interfaces": lambda kind: [str(kind.max_interfaces)],
        "network-info.network-performance": lambda kind: [kind.network_performance],
        "nitro-enclaves-support": lambda _kind: ["unsupported"],
        "nitro-tpm-info.supported-versions": lambda kind: ["2.0"] if kind.has_tpm else [],
        "nitro-tpm-support": lambda kind: ["supported" if kind.has_tpm else "unsupported"],
        "processor-info.supported-architecture": lambda kind: kind.architectures,
        "processor-info.supported-features": lambda _kind: [],
        "processor-info.sustained-clock-speed-in-ghz": lambda kind: _figure(kind.clock_ghz),
        "reboot-migration-support": lambda _kind: ["unsupported"],
        "supported-boot-mode": lambda kind: kind.boot_modes,
        "supported-root-device-type": lambda _kind: ["ebs"],
        "supported-usage-class": lambda _kind: ["on-demand"],
        "supported-virtualization-type": lambda _kind: ["hvm"],
        "vcpu-info.default-cores": lambda kind: [str(kind.cores)],
        "vcpu-info.default-threads-per-core": lambda kind: [str(kind.threads_per_core)],
        "vcpu-info.default-vcpus": lambda kind: [str(kind.vcpus)],
        "vcpu-info.valid-cores": lambda kind: list(map(str, kind.valid_cores)),
        "vcpu-info.valid-threads-per-core": lambda kind: list(map(str, kind.valid_threads)),
    }
)


@cache
def instance_type_view(kind: InstanceType) -> Response:
    """Show a type as InstanceTypeInfo."""
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
            "Manufacturer": kind.manufacturer,
        },
        "VCpuInfo": {
            "DefaultVCpus": kind.vcpus,
            "DefaultCores": kind.cores,
            "DefaultThreadsPerCore": kind.threads_per_core,
            "ValidCores": list(kind.valid_cores) or None,
            "ValidThreadsPerCore": list(kind.valid_threads) or None,
        },
        "MemoryInfo": {"SizeInMiB": kind.memory_mib},
        "InstanceStorageSupported": kind.local_disks is not None,
        "InstanceStorageInfo": kind.local_disks and _storage_info(kind, kind.local_disks),
        "EbsInfo": {
            "EbsOptimizedSupport": kind.ebs_optimized,
            "EncryptionSupport": "supported",
            "EbsOptimizedInfo": kind.ebs_performance and _ebs_optimized_info(kind.ebs_performance),
            "NvmeSupport": kind.ebs_nvme,
            "MaximumEbsAttachments": MAX_VOLUMES,
            "AttachmentLimitType": "dedicated",
        },
        "NetworkInfo": _network_info(kind),
        "PlacementGroupInfo": {"SupportedStrategies": []},
        "HibernationSupported": can_hibernate(kind),
        "BurstablePerformanceSupported": kind.burstable,
        "DedicatedHostsSupported": False,
        "AutoRecoverySupported": kind.is_recovered,
        "SupportedBootModes": list(kind.boot_modes),
        "NitroEnclavesSupport": "unsupported",
        "NitroTpmSupport": "supported" if kind.has_tpm else "unsupported",
        "NitroTpmInfo": {"SupportedVersions": ["2.0"]} if kind.has_tpm else None,
        "PhcSupport": "unsupported",
        "RebootMigrationSupport": "unsupported",
        "SupportedInRegion": True,
    }


def _storage_info(kind: InstanceType, disks: LocalDisks) -> Response:
    return {
        "TotalSizeInGB": disks.total_gb,
        "Disks": [{"SizeInGB": disks.size_gb, "Count": disks.count, "Type": disks.kind}],
        "NvmeSupport": _nvme_support(kind),
        "EncryptionSupport": "unsupported",
    }


def _ebs_optimized_info(performance: EbsPerformance) -> dict[str, float]:
    return {
        "BaselineBandwidthInMbps": performance.baseline_mbps,
        "BaselineThroughputInMBps": performance.baseline_mbps / 8,
        "BaselineIops": performance.baseline_iops,
        "MaximumBandwidthInMbps": performance.maximum_mbps,
        "MaximumThroughputInMBps": performance.maximum_mbps / 8,
        "MaximumIops": performance.maximum_iops,
    }


def _network_info(kind: InstanceType) -> Response:
    return {
        "NetworkPerformance": kind.network_performance,
        "MaximumNetworkInterfaces": kind.max_interfaces,
        "MaximumNetworkCards": 1,
        "DefaultNetworkCardIndex": 0,
        "NetworkCards": [
            {
                "NetworkCardIndex": 0,
                "NetworkPerformance": kind.network_performance,
                "MaximumNetworkInterfaces": kind.max_interfaces,
                "BaselineBandwidthInGbps": kind.network_baseline_gbps,
                "PeakBandwidthInGbps": kind.network_peak_gbps,
            }
        ],
        "Ipv4AddressesPerInterface": kind.addresses_per_interface,
        "Ipv6AddressesPerInterface": 0,
        "Ipv6Supported": False,
        "EnaSupport": "unsupported",
        "EfaSupported": False,
        "EncryptionInTransitSupported": False,
    }
