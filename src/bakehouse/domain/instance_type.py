"""The catalogue of instance types: real EC2 names with real sizes, those a single machine can carry."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceType:
    """One type. Source of the figures: EC2 User Guide, "Amazon EC2 instance types"."""

    name: str
    vcpus: int
    memory_mib: int
    architectures: tuple[str, ...]
    hypervisor: str
    """`nitro` or `xen`."""
    burstable: bool
    max_interfaces: int
    addresses_per_interface: int
    network_performance: str
    clock_ghz: float
    current_generation: bool = True
    free_tier: bool = False
    threads_per_core: int = 2
    max_volumes: int = 20
    """EBS volumes beside the root; bounded by the PCI ports that a machine has for them."""


def _family(
    family: str,
    sizes: Mapping[str, tuple[int, float, int, int]],
    *,
    hypervisor: str = "nitro",
    burstable: bool = False,
    architectures: tuple[str, ...] = ("x86_64",),
    network: str = "Up to 5 Gigabit",
    clock: float = 2.5,
    current: bool = True,
) -> dict[str, InstanceType]:
    return {
        f"{family}.{size}": InstanceType(
            name=f"{family}.{size}",
            vcpus=vcpus,
            memory_mib=int(memory_gib * 1024),
            architectures=architectures,
            hypervisor=hypervisor,
            burstable=burstable,
            max_interfaces=interfaces,
            addresses_per_interface=addresses,
            network_performance=network,
            clock_ghz=clock,
            current_generation=current,
            free_tier=f"{family}.{size}" in ("t2.micro", "t3.micro"),
            threads_per_core=1 if family == "t2" else 2,
        )
        for size, (vcpus, memory_gib, interfaces, addresses) in sizes.items()
    }


_T3: Final = {
    "nano": (2, 0.5, 2, 2),
    "micro": (2, 1, 2, 2),
    "small": (2, 2, 3, 4),
    "medium": (2, 4, 3, 6),
    "large": (2, 8, 3, 12),
    "xlarge": (4, 16, 4, 15),
    "2xlarge": (8, 32, 4, 15),
}
_T2: Final = {
    "nano": (1, 0.5, 2, 2),
    "micro": (1, 1, 2, 2),
    "small": (1, 2, 3, 4),
    "medium": (2, 4, 3, 6),
    "large": (2, 8, 3, 12),
    "xlarge": (4, 16, 3, 15),
    "2xlarge": (8, 32, 3, 15),
}
_M5: Final = {"large": (2, 8, 3, 10), "xlarge": (4, 16, 4, 15), "2xlarge": (8, 32, 4, 15)}
_C5: Final = {"large": (2, 4, 3, 10), "xlarge": (4, 8, 4, 15), "2xlarge": (8, 16, 4, 15)}
_R5: Final = {"large": (2, 16, 3, 10), "xlarge": (4, 32, 4, 15), "2xlarge": (8, 64, 4, 15)}
_BOTH: Final = ("i386", "x86_64")

INSTANCE_TYPES: Final[Mapping[str, InstanceType]] = {
    **_family("t2", _T2, hypervisor="xen", burstable=True, architectures=_BOTH, network="Low to Moderate", clock=2.5),
    **_family("t3", _T3, burstable=True),
    **_family("t3a", _T3, burstable=True, clock=2.2),
    **_family("m5", _M5, network="Up to 10 Gigabit", clock=3.1),
    **_family("m6i", _M5, network="Up to 12.5 Gigabit", clock=3.5),
    **_family("m7i", _M5, network="Up to 12.5 Gigabit", clock=3.2),
    **_family("c5", _C5, network="Up to 10 Gigabit", clock=3.4),
    **_family("c6i", _C5, network="Up to 12.5 Gigabit", clock=3.5),
    **_family("r5", _R5, network="Up to 10 Gigabit", clock=3.1),
    **_family("r6i", _R5, network="Up to 12.5 Gigabit", clock=3.5),
}

#: What RunInstances launches without InstanceType. Source: EC2 API Reference, RunInstances: m1.small; that type
#: is not in the catalogue, so the smallest that carries a full system stands in.
DEFAULT_INSTANCE_TYPE: Final = "t3.micro"
