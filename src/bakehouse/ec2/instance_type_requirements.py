"""Instance types by what they must have: GetInstanceTypesFromInstanceRequirements.

Source of every rule and default: EC2 API Reference, InstanceRequirementsRequest. No type here is bare metal, has
accelerators, or encrypts what instances send each other. Nothing here has a price.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from bakehouse.domain.errors import invalid_combination, invalid_value
from bakehouse.domain.hibernation import can_hibernate
from bakehouse.domain.instance_type import INSTANCE_TYPES, InstanceType
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

Test = Callable[[InstanceType], bool]

#: How the request names a manufacturer -> how the catalogue does.
_MANUFACTURERS: Final = {"intel": "Intel", "amd": "AMD", "amazon-web-services": "AWS"}

#: Range -> what of a type lies in it.
_RANGES: Final[Mapping[str, Callable[[InstanceType], float]]] = {
    "VCpuCount": lambda kind: kind.vcpus,
    "MemoryMiB": lambda kind: kind.memory_mib,
    "MemoryGiBPerVCpu": lambda kind: kind.memory_mib / 1024 / kind.vcpus,
    "NetworkInterfaceCount": lambda kind: kind.max_interfaces,
    "NetworkBandwidthGbps": lambda kind: kind.network_baseline_gbps,
    "BaselineEbsBandwidthMbps": lambda kind: kind.ebs_performance.baseline_mbps if kind.ebs_performance else 0,
    "TotalLocalStorageGB": lambda kind: kind.local_disks.total_gb if kind.local_disks else 0,
    "AcceleratorCount": lambda _kind: 0,
    "AcceleratorTotalMemoryMiB": lambda _kind: 0,
}

#: Included, excluded or required -> whether a type is such a one, and what holds when nothing is said.
_CHOICES: Final[Mapping[str, tuple[Test, str]]] = {
    "BareMetal": (lambda _kind: False, "excluded"),
    "BurstablePerformance": (lambda kind: kind.burstable, "excluded"),
    "LocalStorage": (lambda kind: kind.local_disks is not None, "included"),
}

#: Members that ask for what no type has.
_NEVER: Final = (
    "RequireEncryptionInTransit",
    "AcceleratorTypes",
    "AcceleratorManufacturers",
    "AcceleratorNames",
)

_HONOURED: Final = (
    *_RANGES,
    *_CHOICES,
    *_NEVER,
    "RequireHibernateSupport",
    "CpuManufacturers",
    "ExcludedInstanceTypes",
    "AllowedInstanceTypes",
    "InstanceGenerations",
    "LocalStorageTypes",
)


@operation(
    "GetInstanceTypesFromInstanceRequirements",
    honours="ArchitectureTypes VirtualizationTypes MaxResults NextToken "
    + " ".join(f"InstanceRequirements.{name}" for name in _HONOURED),
)
async def get_instance_types_from_instance_requirements(ctx: RequestContext, request: Request) -> Response:
    """List the types that have all that is asked for."""
    matches = _test_of(request)
    names = sorted(kind.name for kind in INSTANCE_TYPES.values() if matches(kind))
    shown, token = page(ctx, request, names, key=str, sizes=(1, 1000))
    return {"InstanceTypes": [{"InstanceType": name} for name in shown], "NextToken": token}


def _test_of(request: Request) -> Test:
    wanted = request["InstanceRequirements"]
    if wanted.get("AllowedInstanceTypes") and wanted.get("ExcludedInstanceTypes"):
        raise invalid_combination("AllowedInstanceTypes and ExcludedInstanceTypes cannot both be specified.")
    architectures = set(request["ArchitectureTypes"])
    tests: list[Test] = [
        lambda kind: bool(architectures.intersection(kind.architectures)),
        lambda _kind: "hvm" in request["VirtualizationTypes"],
        lambda _kind: not any(wanted.get(name) for name in _NEVER),
        lambda kind: can_hibernate(kind) or not wanted.get("RequireHibernateSupport"),
        *_ranges(wanted),
        *_choices(wanted),
        *_lists(wanted),
    ]
    return lambda kind: all(test(kind) for test in tests)


def _ranges(wanted: Mapping[str, Any]) -> Iterable[Test]:
    for name, figure in _RANGES.items():
        limits = wanted.get(name)
        if limits is None:
            continue
        least, most = limits.get("Min", 0), limits.get("Max", float("inf"))
        if least < 0 or most < least:
            raise invalid_value(most, f"{name}.Max", "It must not be less than Min, and Min not less than 0.")
        yield _within(figure, least, most)


def _within(figure: Callable[[InstanceType], float], least: float, most: float) -> Test:
    return lambda kind: least <= figure(kind) <= most


def _choices(wanted: Mapping[str, Any]) -> Iterable[Test]:
    for name, (is_such, default) in _CHOICES.items():
        choice = wanted.get(name, default)
        if choice != "included":
            yield _is(is_such, wanted=choice == "required")


def _is(is_such: Test, *, wanted: bool) -> Test:
    return lambda kind: is_such(kind) == wanted


def _lists(wanted: Mapping[str, Any]) -> Iterable[Test]:
    if manufacturers := wanted.get("CpuManufacturers"):
        names = {_MANUFACTURERS.get(name) for name in manufacturers}
        yield lambda kind: kind.manufacturer in names
    if generations := wanted.get("InstanceGenerations"):
        yield lambda kind: ("current" if kind.current_generation else "previous") in generations
    if kinds := wanted.get("LocalStorageTypes"):
        yield lambda kind: kind.local_disks is None or kind.local_disks.kind in kinds
    if allowed := wanted.get("AllowedInstanceTypes"):
        is_allowed = _named(allowed)
        yield is_allowed
    if excluded := wanted.get("ExcludedInstanceTypes"):
        is_excluded = _named(excluded)
        yield lambda kind: not is_excluded(kind)


def _named(patterns: Iterable[str]) -> Test:
    """Return whether a type's name matches one of the patterns; `c5*` names the families that begin so."""
    form = re.compile("|".join(".*".join(map(re.escape, pattern.split("*"))) for pattern in patterns))
    return lambda kind: form.fullmatch(kind.name) is not None
