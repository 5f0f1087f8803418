"""What a client hears of an exception that ended its request, and what the log hears."""

from collections.abc import Mapping
from typing import Final

import structlog

from bakehouse.domain.errors import Ec2Error, ServiceError, service_unavailable
from bakehouse.domain.kms_key import key_unusable
from bakehouse.domain.volume import storage_full
from bakehouse.ports.hypervisor import MonitorLost
from bakehouse.ports.keys import KeyUnavailable
from bakehouse.ports.network import NetworkUnavailable
from bakehouse.ports.volumes import StorageFull, VolumeInUse
from bakehouse.protocol.errors import ProtocolError
from bakehouse.protocol.wires import Refusal
from bakehouse.sagas.engine import SagaFailed
from bakehouse.store.store import StoreUnavailable

_log: Final = structlog.get_logger()

#: What the host failed to do, and what helps. A launch or a start answers InsufficientInstanceCapacity instead, and an
#: attachment to a machine that is just ending IncorrectState: they know more than what is said here.
_HOST_FAILURES: Final[Mapping[type[Exception], tuple[str, str]]] = {
    NetworkUnavailable: (
        "The network of this host failed",
        "Try again; if it stays so, `bakehouse doctor` tells what the host lacks.",
    ),
    MonitorLost: (
        "A machine did not answer, so how far the request came is unknown",
        "Look at the resource, then try again; if it stays so, stop the instance with Force and start it.",
    ),
    VolumeInUse: (
        "A process of this host has a volume's disk open",
        "Try again once it has closed it.",
    ),
    SagaFailed: (
        "A change that this one waits for could neither be finished nor taken back",
        "The server tries that again by itself; try this again later.",
    ),
}


def refusal_of(err: Exception, request_id: str) -> Refusal:
    """Return what a client hears of an error; of one that is ours the log hears more.

    A failure of the host is `ServiceUnavailable` (503), which clients try again by themselves; an exception that nobody
    expected is `InternalError` (500).
    """
    match err:
        case ServiceError():
            return Refusal(err.code, err.message, err.status, err.reason)
        case Ec2Error():
            return Refusal(err.code, err.message, err.status)
        case ProtocolError():
            return Refusal(err.code, err.message, err.http_status)
    told = _of_failure(err)
    _log.error(told.code, request_id=request_id, exc_info=err)
    return Refusal(told.code, told.message, told.status)


def _of_failure(err: Exception) -> Ec2Error:
    for failure, (what, next_step) in _HOST_FAILURES.items():
        if isinstance(err, failure):
            return service_unavailable(f"{what}: {str(err).rstrip('.')}. {next_step}")
    match err:
        case StorageFull():
            return storage_full()
        case KeyUnavailable():
            return key_unusable()
        case StoreUnavailable():
            return Ec2Error("Unavailable", "The server could not write to its disk.", 503)
        case _:
            return Ec2Error("InternalError", "An internal error has occurred.", 500)
