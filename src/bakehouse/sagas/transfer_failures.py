"""What people read when a transfer fails: EC2's two kinds of it, and what was found.

Source: VM Import/Export User Guide, "Troubleshooting": `ClientError: ...` for what the client can mend, and
`ServerError: ...`; a file that is refused is a failed disk validation. An image that was not restored has the code of
its state's reason in the form of EC2's others, `Client.` and `Server.`.
"""

from typing import Final

from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.stored_image import BadDescription
from bakehouse.ports.disk_files import CannotExport, NotAPack
from bakehouse.ports.objects import (
    AccessDenied,
    InvalidObjectName,
    NoSuchBucket,
    NoSuchObject,
    ObjectTooLarge,
    TransferFailed,
)
from bakehouse.ports.volumes import NoSuchSnapshot, StorageFull, UnsafeImage


class ImageGone(Exception):
    """The image was deregistered before the task was done with it."""


class ObjectInTheWay(Exception):
    """There is an object in the place already."""


#: What the client can mend, and how it is told.
_CLIENT: Final[tuple[tuple[type[Exception], str], ...]] = (
    (UnsafeImage, "Disk validation failed [{}]"),
    (ObjectTooLarge, "Disk validation failed [{}]"),
    (NotAPack, "The object cannot be restored from: {}"),
    (BadDescription, "The object cannot be restored from: {}"),
    (InvalidObjectName, "The object cannot be used: {}"),
    (NoSuchBucket, "There is no such bucket: {}"),
    (NoSuchObject, "We do not have access to the given resource. Reason 404 Not Found: {}"),
    (AccessDenied, "We do not have access to the given resource. Reason 403 Forbidden: {}"),
    (ImageGone, "The image {} does not exist any more"),
    (ObjectInTheWay, "There is an object {} already"),
    (NoSuchSnapshot, "The snapshot {} does not exist any more"),
    (CannotExport, "{}"),
    (Ec2Error, "{}"),
    (OSError, "The file cannot be read: {}"),
)

_SERVER: Final[tuple[tuple[type[Exception], str], ...]] = (
    (StorageFull, "The host has no space left"),
    (TransferFailed, "The transfer broke off: {}"),
    (Exception, "An internal error has occurred"),
)


def reason_of(error: Exception) -> str:
    """Return the status message of a task that failed by this error."""
    is_client, text = _told(error)
    return f"{'ClientError' if is_client else 'ServerError'}: {text}"


def state_reason_of(error: Exception) -> str:
    """Return the state reason of an image that failed by this error."""
    is_client, text = _told(error)
    return f"{'Client.InvalidObject' if is_client else 'Server.InternalError'}: {text}"


def _told(error: Exception) -> tuple[bool, str]:
    for is_client, table in ((True, _CLIENT), (False, _SERVER)):
        for kind, words in table:
            if isinstance(error, kind):
                return is_client, words.format(error)
    raise TypeError(error)
