"""Public parameters: names under `/aws/service/` that stand for the newest image of a kind.

Source: Systems Manager User Guide, "Discovering public parameters": AWS and the makers of operating systems publish
such names, and each new image becomes the name's next version.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from bakehouse.domain.errors import Ec2Error, ServiceError, invalid_parameter

#: Source: SSM API Reference, PutParameter, Name: letters, digits and `.-_`, at most 15 levels, 1,011 characters in all.
_NAME: Final = re.compile(r"(/[A-Za-z0-9_.-]+){3,15}")
_NAME_MAX: Final = 1011

_PREFIX: Final = "/aws/service/"

#: How many versions are remembered. Source: Systems Manager User Guide, "Working with parameter versions".
VERSIONS_KEPT: Final = 100

#: How EC2 is told to look up a parameter. Source: EC2 User Guide, "Reference AMIs using Systems Manager parameters".
RESOLVE: Final = "resolve:ssm:"

#: Debian's names of architectures.
_DEBIAN: Final = {"x86_64": "amd64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterVersion:
    """What a parameter stood for from some moment on."""

    version: int
    image_id: str
    account_id: str
    """Whose image it was."""
    modified_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicParameter:
    """A name with all its versions, oldest first; there is always one."""

    id: str
    """`REGION/NAME` with its own slash, as `public_parameter_id` makes it."""
    region: str
    name: str
    versions: tuple[ParameterVersion, ...]

    @property
    def arn(self) -> str:
        """Its ARN: public parameters have no account."""
        return f"arn:aws:ssm:{self.region}::parameter{self.name}"

    def moved_on(self, image_id: str, account_id: str, now: datetime) -> "PublicParameter":
        """Return the parameter with a next version."""
        next_one = ParameterVersion(
            version=self.versions[-1].version + 1, image_id=image_id, account_id=account_id, modified_at=now
        )
        return replace(self, versions=(*self.versions[1 - VERSIONS_KEPT :], next_one))


def public_parameter_id(region: str, name: str) -> str:
    """Return the id of a parameter's record."""
    return f"{region}{name}"


def check_public_parameter_name(name: str) -> None:
    """Refuse a name that no public parameter may have: InvalidParameterValue."""
    if not name.startswith(_PREFIX) or len(name) > _NAME_MAX or _NAME.fullmatch(name) is None:
        raise invalid_parameter(f"The name '{name}' is no public parameter's: it has to be a path below {_PREFIX}")


def parameter_of_recipe(recipe: str, architecture: str) -> str:
    """Return the name under which a built image is published.

    Debian's images have the name that Debian's own have on AWS, where it has any of the architecture.
    Source: Debian Wiki, Cloud/AmazonEC2Image.
    """
    if recipe.startswith("debian-") and architecture in _DEBIAN:
        return f"/aws/service/debian/release/{recipe.removeprefix('debian-')}/latest/{_DEBIAN[architecture]}"
    return f"/aws/service/bakehouse/{recipe}/latest/{architecture}"


def parameter_not_found(name: str) -> ServiceError:
    """Source: SSM API Reference, ParameterNotFound."""
    return ServiceError("ParameterNotFound", f"Parameter {name} not found.")


def parameter_version_not_found(name: str, selector: str) -> ServiceError:
    """Source: SSM API Reference, ParameterVersionNotFound; wording as AWS answers it."""
    return ServiceError(
        "ParameterVersionNotFound",
        f"Systems Manager could not find version {selector} of {name}. Verify the version and try again.",
    )


def parameter_name_invalid(message: str) -> ServiceError:
    """Source: SSM API Reference, GetParameter: a name with blanks inside is refused: ValidationException."""
    return ServiceError("ValidationException", message)


def cannot_resolve(text: str) -> Ec2Error:
    """Refuse an image id that names a parameter which does not exist: InvalidParameterValue, EC2's code for a value."""
    return invalid_parameter(f"The Systems Manager parameter in '{text}' could not be resolved to an AMI ID.")
