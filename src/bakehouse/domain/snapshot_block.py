"""Blocks of snapshots, as the EBS direct APIs know them: their size, their tokens, their refusals."""

import hmac
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from bakehouse.domain.errors import ServiceError

#: Source: EBS direct APIs, StartSnapshot: BlockSize in its answer, VolumeSize, Timeout.
BLOCK_BYTES: Final = 512 << 10
BLOCKS_PER_GIB: Final = (1 << 30) // BLOCK_BYTES
VOLUME_SIZE_MAX_GIB: Final = 65536
DEFAULT_TIMEOUT_MINUTES: Final = 60

#: How long one may read what was listed, and ask for the next page of a list. Source: EBS User Guide, "Read Amazon EBS
#: snapshots with EBS direct APIs".
BLOCK_TOKEN_LIFE: Final = timedelta(days=7)
PAGE_TOKEN_LIFE: Final = timedelta(minutes=60)

_NUMBER_BYTES: Final = 8
_EXPIRY_BYTES: Final = 4
_CODE_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotUpload:
    """How a snapshot is written by blocks, or was."""

    parent_snapshot_id: str | None = None
    timeout_minutes: int = DEFAULT_TIMEOUT_MINUTES
    progress: int | None = None
    """Percent, as the client told."""
    changed_blocks: int | None = None
    """How many blocks were written, when it is complete."""


class InvalidToken(ValueError):
    """A token that was not made here for this, or has expired."""


class Tokens:
    """Tokens for numbers: of blocks, or of where a page begins. Each holds its number and when it expires, signed.

    A token is 40 characters of base64, as the API's pattern wants it.
    """

    def __init__(self, key: bytes, *purpose: str) -> None:
        """Make and read tokens for one purpose; no other's are good for it."""
        self._signer = hmac.new(key, b"\0".join(part.encode() for part in ("block", *purpose)), sha256)

    def make(self, number: int, expires: datetime) -> str:
        """Return the token of a number."""
        text = number.to_bytes(_NUMBER_BYTES) + int(expires.timestamp()).to_bytes(_EXPIRY_BYTES)
        return b64encode(text + self._code(text)).decode()

    def read(self, token: str, now: datetime) -> int:
        """Return the number of a token. InvalidToken: it is not good, or not good any more."""
        try:
            raw = b64decode(token, validate=True)
        except ValueError as err:
            raise InvalidToken from err
        text, code = raw[:-_CODE_BYTES], raw[-_CODE_BYTES:]
        is_ours = len(text) == _NUMBER_BYTES + _EXPIRY_BYTES and hmac.compare_digest(code, self._code(text))
        if not is_ours or b64encode(raw).decode() != token:
            raise InvalidToken
        if datetime.fromtimestamp(int.from_bytes(text[_NUMBER_BYTES:]), UTC) < now:
            raise InvalidToken
        return int.from_bytes(text[:_NUMBER_BYTES])

    def _code(self, text: bytes) -> bytes:
        signer = self._signer.copy()
        signer.update(text)
        return signer.digest()[:_CODE_BYTES]


def snapshot_not_there(snapshot_id: str) -> ServiceError:
    """Source: EBS direct APIs, ResourceNotFoundException, SNAPSHOT_NOT_FOUND."""
    return ServiceError(
        "ResourceNotFoundException", f"The snapshot '{snapshot_id}' does not exist.", "SNAPSHOT_NOT_FOUND"
    )


def snapshot_not_complete(snapshot_id: str) -> ServiceError:
    """Refuse to read, or to build upon, what is not complete or lies in the archive."""
    return _invalid(f"The snapshot '{snapshot_id}' is not completed and in the standard tier.", "INVALID_SNAPSHOT_ID")


def snapshot_not_written(snapshot_id: str) -> ServiceError:
    """Refuse to write into a snapshot that is not pending, or was not begun by StartSnapshot."""
    return _invalid(
        f"The snapshot '{snapshot_id}' is not in the pending state, or was not created by StartSnapshot.",
        "INVALID_SNAPSHOT_ID",
    )


def snapshot_unreadable(snapshot_id: str) -> ServiceError:
    """Refuse a snapshot whose bytes cannot be read by blocks, such as one that is encrypted."""
    return _invalid(f"Blocks of the snapshot '{snapshot_id}' cannot be read.", "INVALID_SNAPSHOT_ID")


def snapshots_unrelated(first_id: str, second_id: str) -> ServiceError:
    """Source: EBS direct APIs, ValidationException, UNRELATED_SNAPSHOTS."""
    return _invalid(f"The snapshots '{first_id}' and '{second_id}' are not related.", "UNRELATED_SNAPSHOTS")


def block_token_invalid() -> ServiceError:
    """Source: EBS direct APIs, ValidationException, INVALID_BLOCK_TOKEN."""
    return _invalid("The block token is invalid or has expired.", "INVALID_BLOCK_TOKEN")


def page_token_invalid() -> ServiceError:
    """Source: EBS direct APIs, ValidationException, INVALID_PAGE_TOKEN."""
    return _invalid("The page token is invalid or has expired.", "INVALID_PAGE_TOKEN")


def block_outside(index: int, size_gib: int) -> ServiceError:
    """Source: EBS direct APIs, ValidationException, INVALID_BLOCK."""
    return _invalid(f"The block index {index} is outside of a volume of {size_gib} GiB.", "INVALID_BLOCK")


def block_conflict(index: int) -> ServiceError:
    """Source: EBS direct APIs, ValidationException, CONFLICTING_BLOCK_UPDATE."""
    return _invalid(f"The block {index} is being written with other data.", "CONFLICTING_BLOCK_UPDATE")


def volume_size_invalid(message: str) -> ServiceError:
    """Source: EBS direct APIs, ValidationException, INVALID_VOLUME_SIZE."""
    return _invalid(message, "INVALID_VOLUME_SIZE")


def tag_invalid(message: str) -> ServiceError:
    """Source: EBS direct APIs, ValidationException, INVALID_TAG."""
    return _invalid(message, "INVALID_TAG")


def parameter_invalid(message: str) -> ServiceError:
    """Source: EBS direct APIs, ValidationException, INVALID_PARAMETER_VALUE."""
    return _invalid(message, "INVALID_PARAMETER_VALUE")


def host_full() -> ServiceError:
    """Refuse what the host's disk has no room for; trying again does not help before somebody has made room."""
    return ServiceError(
        "ServiceQuotaExceededException", "The host has no disk space left.", "DEPENDENCY_SERVICE_QUOTA_EXCEEDED"
    )


def _invalid(message: str, reason: str) -> ServiceError:
    return ServiceError("ValidationException", message, reason)
