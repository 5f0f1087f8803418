"""What an instance has of an instance profile."""

from dataclasses import dataclass
from datetime import datetime

from bakehouse.domain.errors import Ec2Error, invalid_parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileAssociation:
    """An instance's profile. `id` is `iip-assoc-...`; the profile may have been deleted since."""

    id: str
    profile_id: str
    profile_arn: str
    associated_at: datetime


def invalid_profile(value: str, by: str) -> Ec2Error:
    """Refuse a profile that the account has not; `by` is `name` or `arn`. Wording: as AWS answers RunInstances."""
    kind = "ARN" if by == "arn" else "name"
    return invalid_parameter(
        f"Value ({value}) for parameter iamInstanceProfile.{by} is invalid. Invalid IAM Instance Profile {kind}"
    )


def profile_without_role(arn: str) -> Ec2Error:
    """Wording: as AWS answers RunInstances; Terraform waits for the role when it reads this."""
    return invalid_parameter(f'IAM Instance Profile "{arn}" has no associated IAM Roles')


def associated_already(instance_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, IncorrectState; wording as AWS answers it."""
    return Ec2Error("IncorrectState", f"There is an existing association for instance {instance_id}")


def no_such_association(association_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidAssociationID.NotFound; wording as AWS answers it."""
    return Ec2Error("InvalidAssociationID.NotFound", f"An invalid association-id of '{association_id}' was given")
