"""The instance types of an image on the wire."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from bakehouse.domain.image import Image
from bakehouse.domain.instance_type_specification import InstanceTypeSpecification, checked_specification
from bakehouse.ec2.registry import Request, RequestContext, Response, operation


def _of_specification(
    value: Callable[[InstanceTypeSpecification], Iterable[str]],
) -> Callable[[Image], Iterable[str | None]]:
    return lambda image: () if image.instance_type_specification is None else value(image.instance_type_specification)


#: Source: EC2 API Reference, DescribeImages, Filters: the patterns as their owner wrote them.
INSTANCE_TYPE_FILTERS: Final[Mapping[str, Callable[[Image], Iterable[str | None]]]] = {
    "instance-type-specification.supported-instance-type": _of_specification(lambda it: it.supported),
    "instance-type-specification.unsupported-instance-type": _of_specification(lambda it: it.unsupported),
}


@operation("ReplaceImageInstanceTypeSpecification", honours="ImageId InstanceTypeSpecification")
async def replace_image_instance_type_specification(ctx: RequestContext, request: Request) -> Response:
    """Say which instance types an image is for, or for all again. RunInstances refuses the others."""
    given = request.get("InstanceTypeSpecification") or {}
    specification = checked_specification(
        given.get("SupportedInstanceTypes") or (), given.get("UnsupportedInstanceTypes") or ()
    )
    is_empty = specification == InstanceTypeSpecification()
    await ctx.app.image_instance_types.replace(ctx.caller, request["ImageId"], None if is_empty else specification)
    return {"ReturnValue": True}


def specification_view(specification: InstanceTypeSpecification | None) -> dict[str, Any] | None:
    """Return a specification as everybody sees it who sees the image; None of an image that has none."""
    if specification is None:
        return None
    return {
        "SupportedInstanceTypes": [{"InstanceType": pattern} for pattern in specification.supported],
        "UnsupportedInstanceTypes": [{"InstanceType": pattern} for pattern in specification.unsupported],
    }
