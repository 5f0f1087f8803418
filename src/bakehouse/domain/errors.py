"""Refusals: every error that the API answers with, as an `Ec2Error` made by one function each.

Codes and wording: EC2 API Reference, "Error codes", and answers seen by clients. A refusal that belongs to one
noun stands in that noun's file (`domain/image.py`); those of all nouns stand here.
"""

from collections.abc import Iterable
from typing import Final

from bakehouse.domain.ids import PREFIXES


class Ec2Error(Exception):
    """An error as EC2 answers it. `status` is the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        """Keep the three parts of the answer."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class ServiceError(Ec2Error):
    """An error of a service beside EC2.

    `code` is the name of the error in the service's model, whose HTTP status is answered; `reason` is the value of its
    member `Reason`, where it has one.
    """

    def __init__(self, code: str, message: str, reason: str | None = None) -> None:
        """Keep the parts of the answer."""
        super().__init__(code, message)
        self.reason = reason


#: resource type -> (code when there is none, code when the id has not the right form, noun of the message).
_ID_REFUSALS: Final = {
    "dhcp-options": ("InvalidDhcpOptionID.NotFound", "InvalidDhcpOptionsId.Malformed", "dhcpOption ID"),
    "egress-only-internet-gateway": (
        "InvalidGatewayID.NotFound",
        "InvalidEgressOnlyInternetGatewayId.Malformed",
        "egressOnlyInternetGateway ID",
    ),
    "elastic-ip": ("InvalidAllocationID.NotFound", "InvalidAllocationID.Malformed", "allocation ID"),
    "elastic-ip-association": (
        "InvalidAssociationID.NotFound",
        "InvalidAssociationID.Malformed",
        "association ID",
    ),
    "export-image-task": ("InvalidExportTaskID.NotFound", "InvalidExportTaskID.Malformed", "export task ID"),
    "export-instance-task": ("InvalidExportTaskID.NotFound", "InvalidExportTaskID.Malformed", "export task ID"),
    "fleet": ("InvalidFleetId.NotFound", "InvalidFleetId.Malformed", "fleet ID"),
    "image": ("InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "image id"),
    "image-usage-report": (
        "InvalidImageUsageReportId.NotFound",
        "InvalidImageUsageReportId.Malformed",
        "image usage report ID",
    ),
    "import-image-task": ("InvalidConversionTaskId", "InvalidConversionTaskId.Malformed", "import task ID"),
    "import-snapshot-task": ("InvalidConversionTaskId", "InvalidConversionTaskId.Malformed", "import task ID"),
    "instance": ("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed", "instance ID"),
    "internet-gateway": (
        "InvalidInternetGatewayID.NotFound",
        "InvalidInternetGatewayId.Malformed",
        "internetGateway ID",
    ),
    "key-pair": ("InvalidKeyPair.NotFound", "InvalidParameterValue", "key pair"),
    "natgateway": ("NatGatewayNotFound", "NatGatewayMalformed", "NAT gateway ID"),
    "launch-template": (
        "InvalidLaunchTemplateId.NotFound",
        "InvalidLaunchTemplateId.Malformed",
        "launch template ID",
    ),
    "network-acl": ("InvalidNetworkAclID.NotFound", "InvalidNetworkAclId.Malformed", "networkAcl ID"),
    "network-acl-association": ("InvalidAssociationID.NotFound", "InvalidAssociationID.Malformed", "association ID"),
    "network-interface": (
        "InvalidNetworkInterfaceID.NotFound",
        "InvalidNetworkInterfaceId.Malformed",
        "networkInterface ID",
    ),
    "network-interface-attachment": (
        "InvalidAttachmentID.NotFound",
        "InvalidAttachmentID.Malformed",
        "attachment ID",
    ),
    "placement-group": (
        "InvalidPlacementGroup.Unknown",
        "InvalidPlacementGroupId.Malformed",
        "placement group ID",
    ),
    "prefix-list": ("InvalidPrefixListID.NotFound", "InvalidPrefixListID.Malformed", "prefix list ID"),
    "replace-root-volume-task": (
        "InvalidReplaceRootVolumeTaskId.NotFound",
        "InvalidReplaceRootVolumeTaskId.Malformed",
        "replace root volume task ID",
    ),
    "route-table": ("InvalidRouteTableID.NotFound", "InvalidRouteTableId.Malformed", "routeTable ID"),
    "route-table-association": ("InvalidAssociationID.NotFound", "InvalidAssociationID.Malformed", "association ID"),
    "security-group": ("InvalidGroup.NotFound", "InvalidGroupId.Malformed", "security group"),
    "security-group-rule": (
        "InvalidSecurityGroupRuleId.NotFound",
        "InvalidSecurityGroupRuleId.Malformed",
        "security group rule ID",
    ),
    "snapshot": ("InvalidSnapshot.NotFound", "InvalidSnapshotID.Malformed", "snapshot"),
    "spot-instances-request": (
        "InvalidSpotInstanceRequestID.NotFound",
        "InvalidSpotInstanceRequestID.Malformed",
        "spot instance request ID",
    ),
    "subnet": ("InvalidSubnetID.NotFound", "InvalidSubnetID.Malformed", "subnet ID"),
    "subnet-cidr-block-association": (
        "InvalidSubnetCidrBlockAssociationID.NotFound",
        "InvalidSubnetCidrBlockAssociationID.Malformed",
        "subnet CIDR block association ID",
    ),
    "subnet-cidr-reservation": (
        "InvalidSubnetCidrReservationID.NotFound",
        "InvalidSubnetCidrReservationID.Malformed",
        "subnet CIDR reservation ID",
    ),
    "volume": ("InvalidVolume.NotFound", "InvalidParameterValue", "volume"),
    "vpc": ("InvalidVpcID.NotFound", "InvalidVpcID.Malformed", "vpc ID"),
    "vpc-cidr-block-association": (
        "InvalidVpcCidrBlockAssociationID.NotFound",
        "InvalidVpcCidrBlockAssociationID.Malformed",
        "vpc CIDR block association ID",
    ),
    "vpc-endpoint": ("InvalidVpcEndpointId.NotFound", "InvalidVpcEndpointId.Malformed", "vpc endpoint ID"),
}


def not_found(resource_type: str, resource_ids: Iterable[str]) -> Ec2Error:
    """Refuse ids that the caller may not know of, or that do not exist; the answer is the same."""
    code, _, noun = _ID_REFUSALS[resource_type]
    ids = list(resource_ids)
    if resource_type == "image":
        return Ec2Error(code, f"The image id '[{', '.join(ids)}]' does not exist")
    plural = "s" if len(ids) > 1 else ""
    verb = "do" if len(ids) > 1 else "does"
    full_stop = "." if resource_type in ("snapshot", "volume") else ""  # as AWS ends it, for these alone
    return Ec2Error(code, f"The {noun}{plural} '{', '.join(ids)}' {verb} not exist{full_stop}")


def malformed_id(resource_type: str, resource_id: str) -> Ec2Error:
    """Refuse an id that has not the form of its type.

    Wording as AWS answers it for instances, images, snapshots and volumes; the others follow it.
    """
    _, code, _noun = _ID_REFUSALS[resource_type]
    prefix = PREFIXES[resource_type]
    if resource_type == "volume" or (resource_type == "snapshot" and not resource_id.startswith("snap-")):
        return invalid_value(resource_id, f"{resource_type}Id", f"Expected: '{prefix}-...'.")
    if resource_type == "snapshot":
        return Ec2Error(code, f"Value ( {resource_id} ) for parameter SNAPSHOT is invalid.")
    expected = "" if resource_type == "instance" else f' (expecting "{prefix}-...")'
    return Ec2Error(code, f'Invalid id: "{resource_id}"{expected}')


def missing_parameter(name: str) -> Ec2Error:
    """Refuse a request that lacks what this operation cannot do without."""
    return Ec2Error("MissingParameter", f"The request must contain the parameter {name}")


def invalid_parameter(message: str) -> Ec2Error:
    """Refuse a value. The message names the value and the parameter."""
    return Ec2Error("InvalidParameterValue", message)


def invalid_value(value: object, parameter: str, reason: str = "") -> Ec2Error:
    """Refuse a value in EC2's usual words."""
    return Ec2Error(
        "InvalidParameterValue",
        f"Value ({value}) for parameter {parameter} is invalid." + (f" {reason}" if reason else ""),
    )


def invalid_combination(message: str) -> Ec2Error:
    """Refuse parameters that exclude each other or need each other."""
    return Ec2Error("InvalidParameterCombination", message)


def not_honoured(parameter: str, reason: str = "") -> Ec2Error:
    """Refuse a parameter that EC2 knows and Bakehouse does not honour: never ignore it."""
    words = f"The parameter {parameter} is not supported by this endpoint."
    return Ec2Error("UnsupportedOperation", f"{words} {reason}".strip())


def incorrect_state(message: str) -> Ec2Error:
    """Refuse an operation that the resource's present state does not allow."""
    return Ec2Error("IncorrectState", message)


def dependency_violation(message: str) -> Ec2Error:
    """Refuse to delete what something else still needs."""
    return Ec2Error("DependencyViolation", message)


def operation_not_permitted(message: str) -> Ec2Error:
    """Refuse what a protection or a rule forbids."""
    return Ec2Error("OperationNotPermitted", message)


def auth_failure(message: str) -> Ec2Error:
    """Refuse an operation on another account's resource that the caller can see."""
    return Ec2Error("AuthFailure", message, 403)


def dry_run_succeeded() -> Ec2Error:
    """Answer a request with DryRun that would have succeeded. Source: EC2 API Reference, common parameters."""
    return Ec2Error("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)


def insufficient_capacity(message: str) -> Ec2Error:
    """Answer when the host cannot carry what was asked for; SDKs treat it as a server-side error."""
    return Ec2Error("InsufficientInstanceCapacity", message, 500)


def service_unavailable(message: str) -> Ec2Error:
    """Answer when the host failed for once; clients try again by themselves.

    Source: EC2 API Reference, Error codes, ServiceUnavailable; retried as every 503 by the SDKs (boto3 guide, Retries).
    """
    return Ec2Error("ServiceUnavailable", message, 503)


def idempotent_mismatch(token: str) -> Ec2Error:
    """Refuse a client token that came before with other parameters."""
    return Ec2Error(
        "IdempotentParameterMismatch",
        f"Arguments on this idempotent request are inconsistent with arguments used in previous request(s) "
        f"(client token {token}).",
    )
