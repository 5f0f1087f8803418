"""Refusals about VPCs and subnets, and how many there may be."""

from typing import Final

from bakehouse.domain.errors import Ec2Error, dependency_violation, invalid_parameter, operation_not_permitted
from bakehouse.domain.region import zones

#: EC2's quota is 5 VPCs in each region, which it raises on request; a host has room for this many.
VPCS_MAX: Final = 100
#: Source: VPC User Guide, "Amazon VPC quotas": subnets, and IPv4 ranges, of a VPC.
SUBNETS_MAX: Final = 200
RANGES_MAX: Final = 5


def too_many_vpcs() -> Ec2Error:
    """Source: EC2 API Reference, Error codes, VpcLimitExceeded."""
    return Ec2Error("VpcLimitExceeded", "The maximum number of VPCs has been reached.")


def too_many_subnets() -> Ec2Error:
    """Source: EC2 API Reference, Error codes, SubnetLimitExceeded."""
    return Ec2Error("SubnetLimitExceeded", "The maximum number of subnets has been reached.")


def too_many_ranges(vpc_id: str) -> Ec2Error:
    """Source: VPC User Guide, "Amazon VPC quotas": IPv4 CIDR blocks of a VPC."""
    return Ec2Error("CidrLimitExceeded", f"The maximum number of CIDR blocks of {vpc_id} has been reached.")


def default_vpc_exists(vpc_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, DefaultVpcAlreadyExists; wording as AWS answers it."""
    return Ec2Error(
        "DefaultVpcAlreadyExists", f"A Default VPC already exists for this account in this region: {vpc_id}"
    )


def default_vpc_missing() -> Ec2Error:
    """Source: EC2 API Reference, Error codes, DefaultVpcDoesNotExist."""
    return Ec2Error("DefaultVpcDoesNotExist", "There is no default VPC in which to carry out the request.")


def default_subnet_exists(zone: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, DefaultSubnetAlreadyExistsInAvailabilityZone."""
    return Ec2Error(
        "DefaultSubnetAlreadyExistsInAvailabilityZone", f"A default subnet already exists in Availability Zone {zone}."
    )


def no_room_for_default_subnet(vpc_id: str) -> Ec2Error:
    """Source: EC2 API Reference, CreateDefaultSubnet: it is a /20 of the default VPC."""
    return invalid_parameter(f"There is no free /20 CIDR block in the default VPC {vpc_id}.")


def vpc_in_use(vpc_id: str) -> Ec2Error:
    """Source: EC2 API Reference, DeleteVpc; wording as AWS answers it."""
    return dependency_violation(f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")


def subnet_in_use(subnet_id: str) -> Ec2Error:
    """Source: EC2 API Reference, DeleteSubnet; wording as AWS answers it."""
    return dependency_violation(f"The subnet '{subnet_id}' has dependencies and cannot be deleted.")


def range_in_use(association_id: str) -> Ec2Error:
    """Source: EC2 API Reference, DisassociateVpcCidrBlock: what lies in the range must be deleted first."""
    return dependency_violation(f"The CIDR block with association ID {association_id} is in use.")


def primary_range_stays(association_id: str) -> Ec2Error:
    """Source: EC2 API Reference, DisassociateVpcCidrBlock; wording as AWS answers it."""
    return operation_not_permitted(
        f"The vpc CIDR block with association ID {association_id} may not be disassociated. "
        "It is the primary IPv4 CIDR block of the VPC"
    )


def hostnames_need_support() -> Ec2Error:
    """Source: EC2 API Reference, ModifyVpcAttribute: host names can be enabled only with DNS support."""
    return invalid_parameter("DNS hostnames can be enabled only if DNS support is enabled.")


def one_attribute_at_a_time() -> Ec2Error:
    """Source: EC2 API Reference, ModifyVpcAttribute and ModifySubnetAttribute; code and wording as AWS answers it."""
    return Ec2Error("InvalidParameterCombination", "You may only modify one attribute at a time.")


def subnet_zone(region: str, wanted: str | None) -> str:
    """Return the zone of a new subnet: the one asked for, or the region's first. Refuses one that there is not."""
    known = zones(region)
    if wanted is None:
        return known[0]
    if wanted not in known:
        raise invalid_parameter(
            f"Value ({wanted}) for parameter availabilityZone is invalid. Subnets can currently only be created in the "
            f"following availability zones: {', '.join(known)}."
        )
    return wanted
