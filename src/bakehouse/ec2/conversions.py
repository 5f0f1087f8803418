"""Conversion tasks, the older way to import: refused, with what to use instead.

Source: EC2 API Reference, ImportInstance ("we recommend that you use the ImportImage API instead"; its only platform is
Windows) and ImportVolume. Both take their disks by manifests of the retired EC2 CLI.
"""

from bakehouse.domain.errors import Ec2Error
from bakehouse.ec2.registry import Request, RequestContext, Response, operation


def _superseded(name: str, by: str) -> Ec2Error:
    return Ec2Error("UnsupportedOperation", f"{name} is not supported by this endpoint: use {by}.")


@operation("ImportInstance", honours="Description DiskImages LaunchSpecification Platform")
async def import_instance(_ctx: RequestContext, _request: Request) -> Response:
    """Refuse."""
    raise _superseded("ImportInstance, which imports Windows by disk manifests,", "ImportImage, then RunInstances")


@operation("ImportVolume", honours="AvailabilityZone AvailabilityZoneId Description Image Volume")
async def import_volume(_ctx: RequestContext, _request: Request) -> Response:
    """Refuse."""
    raise _superseded("ImportVolume, which imports by disk manifests,", "ImportSnapshot, then CreateVolume")


@operation("CancelConversionTask", honours="ConversionTaskId ReasonMessage")
async def cancel_conversion_task(_ctx: RequestContext, _request: Request) -> Response:
    """Refuse: there is none to cancel."""
    raise _superseded("CancelConversionTask", "CancelImportTask for the imports that there are")
