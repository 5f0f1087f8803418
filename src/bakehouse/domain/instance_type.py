"""The catalogue of instance types: EC2's own names with EC2's own figures (`instance_types.csv`)."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

_CATALOGUE: Final = Path(__file__).with_name("instance_types.csv")

#: EBS volumes beside the root; bounded by the PCI ports that a machine has for them.
MAX_VOLUMES: Final = 20


@dataclass(frozen=True, slots=True)
class LocalDisks:
    """A type's instance store: `count` disks of `size_gb` (of 10^9 bytes) each, `hdd` or `ssd`."""

    count: int
    size_gb: int
    kind: str

    @property
    def total_gb(self) -> int:
        """The size of all of them."""
        return self.count * self.size_gb


@dataclass(frozen=True, slots=True)
class EbsPerformance:
    """What a type's EBS link carries: bandwidth in Mbit/s, and operations per second."""

    baseline_mbps: int
    baseline_iops: int
    maximum_mbps: int
    maximum_iops: int


@dataclass(frozen=True, kw_only=True)
class InstanceType:
    """One type. Source of the figures: what AWS's DescribeInstanceTypes answers."""

    name: str
    vcpus: int
    threads_per_core: int
    valid_cores: tuple[int, ...]
    valid_threads: tuple[int, ...]
    """What CpuOptions may ask for; empty where the type has no choice."""
    clock_ghz: float | None
    manufacturer: str
    memory_mib: int
    architectures: tuple[str, ...]
    hypervisor: str
    """`nitro` or `xen`."""
    current_generation: bool
    free_tier: bool
    burstable: bool
    network_performance: str
    network_baseline_gbps: float
    network_peak_gbps: float
    max_interfaces: int
    addresses_per_interface: int
    ebs_optimized: str
    """`default`, `supported` or `unsupported`."""
    ebs_performance: EbsPerformance | None
    ebs_nvme: str
    """`required`, `supported` or `unsupported`."""
    local_disks: LocalDisks | None
    boot_modes: tuple[str, ...]
    """`legacy-bios`, `uefi`; first the one that it takes when the image does not say."""

    @cached_property
    def cores(self) -> int:
        """Return how many cores there are by default."""
        return max(1, self.vcpus // self.threads_per_core)

    @property
    def has_tpm(self) -> bool:
        """Whether instances can have a NitroTPM: on Nitro by UEFI, but the first Graviton.

        Source: EC2 User Guide, "Requirements for using NitroTPM": virtualized Nitro types, not Xen, Mac, bare metal.
        """
        return self.hypervisor == "nitro" and "uefi" in self.boot_modes and self.family != "a1"

    @property
    def is_recovered(self) -> bool:
        """Whether an instance whose host fails is recovered: not where it may have local disks.

        Source: EC2 User Guide, "Automatic instance recovery", requirements.
        """
        return self.local_disks is None

    @property
    def family(self) -> str:
        """Return what stands before the dot, such as `t3`."""
        return self.name.partition(".")[0]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split()))


def _ebs_performance(row: Mapping[str, str]) -> EbsPerformance | None:
    figures = [row[f"ebs_{name}"] for name in ("baseline_mbps", "baseline_iops", "maximum_mbps", "maximum_iops")]
    return EbsPerformance(*map(int, figures)) if all(figures) else None


def _local_disks(text: str) -> LocalDisks | None:
    """Read `2x1900 ssd`."""
    if not text:
        return None
    sizes, kind = text.split()
    count, size_gb = sizes.split("x")
    return LocalDisks(int(count), int(size_gb), kind)


def _type(row: Mapping[str, str]) -> InstanceType:
    return InstanceType(
        name=row["name"],
        vcpus=int(row["vcpus"]),
        threads_per_core=int(row["threads_per_core"]),
        valid_cores=_numbers(row["valid_cores"]),
        valid_threads=_numbers(row["valid_threads"]),
        clock_ghz=float(row["clock_ghz"]) if row["clock_ghz"] else None,
        manufacturer=row["manufacturer"],
        memory_mib=int(row["memory_mib"]),
        architectures=tuple(row["architectures"].split()),
        hypervisor=row["hypervisor"],
        current_generation=row["current_generation"] == "true",
        free_tier=row["free_tier"] == "true",
        burstable=row["burstable"] == "true",
        network_performance=row["network_performance"],
        network_baseline_gbps=float(row["network_baseline_gbps"]),
        network_peak_gbps=float(row["network_peak_gbps"]),
        max_interfaces=int(row["max_interfaces"]),
        addresses_per_interface=int(row["addresses_per_interface"]),
        ebs_optimized=row["ebs_optimized"],
        ebs_performance=_ebs_performance(row),
        ebs_nvme=row["ebs_nvme"],
        local_disks=_local_disks(row["disks"]),
        boot_modes=tuple(row["boot_modes"].split()),
    )


def _catalogue() -> dict[str, InstanceType]:
    with _CATALOGUE.open(encoding="utf-8", newline="") as file:
        return {kind.name: kind for kind in map(_type, csv.DictReader(file))}


INSTANCE_TYPES: Final[Mapping[str, InstanceType]] = _catalogue()

#: What RunInstances launches without InstanceType. Source: EC2 API Reference, RunInstances.
DEFAULT_INSTANCE_TYPE: Final = "m1.small"
