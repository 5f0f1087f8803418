"""What an instance may be told beside its type and its place: processors, CPU credits, names, maintenance."""

from dataclasses import dataclass
from typing import Final, Literal

from bakehouse.domain.errors import Ec2Error, invalid_parameter, invalid_value
from bakehouse.domain.instance_type import InstanceType
from bakehouse.domain.network import Subnet

CpuCredits = Literal["standard", "unlimited"]
HostnameType = Literal["ip-name", "resource-name"]
Switch = Literal["default", "disabled"]

#: Families that begin without unlimited credits; T3, T3a and T4g begin with them.
#: Source: EC2 User Guide, "Unlimited mode for burstable performance instances".
_STANDARD_FAMILIES: Final = frozenset({"t2"})
_CREDITS: Final[dict[str, CpuCredits]] = {"standard": "standard", "unlimited": "unlimited"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuOptions:
    """The cores that a guest sees, and the threads of each."""

    core_count: int
    threads_per_core: int

    @property
    def vcpus(self) -> int:
        """How many processors that makes."""
        return self.core_count * self.threads_per_core


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateNames:
    """How an instance is called in its VPC. Source: EC2 User Guide, "EC2 instance hostname types"."""

    hostname_type: HostnameType = "ip-name"
    resource_name_a_record: bool = False
    """Whether `i-...` resolves to its private address."""
    resource_name_aaaa_record: bool = False
    """Whether `i-...` resolves to its IPv6 address."""

    def host_name(self, instance_id: str, ip_name: str) -> str:
        """Return the name that a guest has for itself, without domain."""
        return instance_id if self.hostname_type == "resource-name" else ip_name

    def more_names(self, instance_id: str, ip_name: str) -> tuple[str, ...]:
        """Return what else resolves to its private address: its IP name always, its id where that is asked for."""
        names = (ip_name, *((instance_id,) if self.resource_name_a_record else ()))
        return tuple(name for name in names if name != self.host_name(instance_id, ip_name))

    def ipv6_names(self, instance_id: str) -> tuple[str, ...]:
        """Return what resolves to its IPv6 address: its id, where that is asked for. IP names are of IPv4 alone."""
        return (instance_id,) if self.resource_name_aaaa_record else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRequest:
    """How a launch wants its instances called; what is None follows their subnet."""

    hostname_type: HostnameType | None = None
    resource_name_a_record: bool | None = None
    resource_name_aaaa_record: bool | None = None

    def in_subnet(self, subnet: Subnet) -> PrivateNames:
        """Return how an instance of this subnet is called."""
        a_record, aaaa_record = self.resource_name_a_record, self.resource_name_aaaa_record
        return PrivateNames(
            hostname_type=self.hostname_type or subnet.hostname_type,
            resource_name_a_record=subnet.resource_name_a_record if a_record is None else a_record,
            resource_name_aaaa_record=subnet.resource_name_aaaa_record if aaaa_record is None else aaaa_record,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """What is done for an instance without its owner. Source: EC2 API Reference, InstanceMaintenanceOptions."""

    auto_recovery: Switch = "default"
    reboot_migration: Switch = "default"


def usual_cpu_options(instance_type: InstanceType) -> CpuOptions:
    """Return what a type has when nothing is asked for."""
    return CpuOptions(core_count=instance_type.cores, threads_per_core=instance_type.vcpus // instance_type.cores)


def checked_cpu_options(
    instance_type: InstanceType, core_count: int | None, threads_per_core: int | None
) -> CpuOptions | None:
    """Return the options asked for, None when nothing is, or refuse what the type has not."""
    if core_count is None and threads_per_core is None:
        return None
    if core_count is None or threads_per_core is None:
        raise cpu_options_incomplete()
    asked = CpuOptions(core_count=core_count, threads_per_core=threads_per_core)
    if asked == usual_cpu_options(instance_type):
        return asked
    if core_count not in instance_type.valid_cores:
        raise _cpu_option_refused("CoreCount", core_count, instance_type)
    if threads_per_core not in instance_type.valid_threads:
        raise _cpu_option_refused("ThreadsPerCore", threads_per_core, instance_type)
    return asked


def usual_credits(instance_type: InstanceType) -> CpuCredits:
    """Return the credit option that a burstable type begins with."""
    return "standard" if instance_type.family in _STANDARD_FAMILIES else "unlimited"


def checked_credits(instance_type: InstanceType, asked: str | None) -> CpuCredits | None:
    """Return the credit option of an instance: the one asked for or the type's own; None for types without credits."""
    if asked is not None and asked not in _CREDITS:
        raise invalid_value(asked, "CpuCredits", "Expecting standard or unlimited.")
    if not instance_type.burstable:
        if asked is not None:
            raise credits_not_supported(instance_type.name)
        return None
    return usual_credits(instance_type) if asked is None else _CREDITS[asked]


def cannot_be_monitored(instance_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidState, which names just this case."""
    return Ec2Error("InvalidState", f"The instance '{instance_id}' is terminated, or about to be.")


def credits_named_twice() -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidInstanceCreditSpecification.DuplicateInstanceId."""
    return Ec2Error(
        "InvalidInstanceCreditSpecification.DuplicateInstanceId",
        "The request may not contain duplicate instance IDs.",
    )


def credits_not_supported(what: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InstanceCreditSpecification.NotSupported."""
    return Ec2Error(
        "InstanceCreditSpecification.NotSupported",
        f"'{what}' does not use CPU credits for CPU usage; only T instances do.",
    )


def cpu_options_incomplete() -> Ec2Error:
    """Source: hashicorp/terraform-provider-aws issue 46821, as AWS answers it."""
    return Ec2Error(
        "MissingParameter", "When specifying CpuOptions you must specify both CoreCount and ThreadsPerCore."
    )


def _cpu_option_refused(member: str, value: int, instance_type: InstanceType) -> Ec2Error:
    """Source: EC2 User Guide, "CPU options for Amazon EC2 instances": only the values of the type's table are valid."""
    return invalid_parameter(f"The {member} value '{value}' is not supported for instance type {instance_type.name}.")
