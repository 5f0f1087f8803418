"""Which instance types an image is for, as its owner says.

Source: EC2 API Reference, ReplaceImageInstanceTypeSpecification; EC2 User Guide, "AMI allowed instance types".
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_combination, invalid_parameter, invalid_value

#: Source: EC2 API Reference, InstanceTypeSpecificationRequest.
_MOST: Final = 100
_PATTERN: Final = re.compile(r"[A-Za-z0-9_.*-]{1,24}")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceTypeSpecification:
    """Patterns of instance types: names, or with `*` for any number of characters."""

    supported: tuple[str, ...] = ()
    """What is named here and not below is allowed. Empty: everything that is not named below."""
    unsupported: tuple[str, ...] = ()

    def allows(self, instance_type: str) -> bool:
        """Tell whether the image may be launched on an instance type."""
        if self.supported and not _names(self.supported, instance_type):
            return False
        return not _names(self.unsupported, instance_type)


def checked_specification(supported: Iterable[str], unsupported: Iterable[str]) -> InstanceTypeSpecification:
    """Return a specification, or refuse what is no pattern, too much, or said twice: InvalidParameterValue."""
    made = InstanceTypeSpecification(supported=tuple(supported), unsupported=tuple(unsupported))
    for parameter, patterns in (
        ("supportedInstanceType", made.supported),
        ("unsupportedInstanceType", made.unsupported),
    ):
        if len(patterns) > _MOST:
            raise invalid_parameter(f"The parameter {parameter} can have {_MOST} values at most")
        for pattern in patterns:
            if _PATTERN.fullmatch(pattern) is None or "**" in pattern:
                raise invalid_value(pattern, parameter, "Expecting an instance type, or a pattern such as t3.*")
    everything = (*made.supported, *made.unsupported)
    twice = next((pattern for place, pattern in enumerate(everything) if pattern in everything[:place]), None)
    if twice is not None:
        raise invalid_parameter(f"Duplicate instance type '{twice}' specified.")
    return made


def instance_type_not_for_image(instance_type: str, image_id: str) -> Ec2Error:
    """Source of the code: EC2 API Reference, ReplaceImageInstanceTypeSpecification."""
    return invalid_combination(
        f"The instance type '{instance_type}' is not compatible with the instance type specification of the image "
        f"'{image_id}'."
    )


def _names(patterns: Iterable[str], instance_type: str) -> bool:
    return any(_matches(pattern, instance_type) for pattern in patterns)


def _matches(pattern: str, instance_type: str) -> bool:
    expression = ".*".join(re.escape(piece) for piece in pattern.split("*"))
    return re.fullmatch(expression, instance_type) is not None
