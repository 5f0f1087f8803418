"""Keys that encrypt volumes and snapshots, as KMS names them, and what of a request decides which one does."""

import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_combination, operation_not_permitted

#: The alias of the key that each account has in each region without making it.
#: Source: EBS User Guide, "How Amazon EBS encryption works".
DEFAULT_ALIAS: Final = "alias/aws/ebs"

#: What a snapshot says whose copy failed. Source: EBS User Guide, "Copy a snapshot", for a key that cannot be used.
KEY_NOT_ACCESSIBLE: Final = "Given key ID is not accessible"
COPY_FAILED: Final = "The snapshot could not be copied"

_NAMES: Final = uuid.UUID("6b616b65-6b65-4000-8000-65627364656b")
_KEY_ARN: Final = re.compile(r"arn:aws:kms:(?P<region>[a-z0-9-]+):(?P<account_id>\d{12}):(?P<name>(key|alias)/.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsKey:
    """A key, as the API shows it. What encrypts is in the key store alone, under the same id."""

    id: str
    """A UUID, as KMS has it."""
    account_id: str
    region: str
    created_at: datetime
    description: str = ""
    aliases: tuple[str, ...] = ()
    """Each begins with `alias/`."""

    @property
    def arn(self) -> str:
        """By which volumes and snapshots name it."""
        return key_arn(self.account_id, self.region, self.id)

    @property
    def is_default(self) -> bool:
        """Whether it is the one that nobody made."""
        return self.id == default_key_id(self.account_id, self.region)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encryption:
    """What a request says of the encryption of what it makes."""

    encrypted: bool | None = None
    key: str | None = None
    """A key's id or ARN, an alias or its ARN."""


def new_key_id() -> str:
    """Return an id that no key has."""
    return str(uuid.uuid4())


def default_key_id(account_id: str, region: str) -> str:
    """Return the id of an account's own key for EBS in a region: always the same, so that it is made once."""
    return str(uuid.uuid5(_NAMES, f"{account_id}/{region}"))


def key_arn(account_id: str, region: str, key_id: str) -> str:
    """Source: KMS Developer Guide, "Key identifiers"."""
    return f"arn:aws:kms:{region}:{account_id}:key/{key_id}"


def key_id_of(arn: str | None) -> str | None:
    """Return the id in a key's ARN; None of None."""
    return None if arn is None else arn.rpartition("/")[2]


def name_in_region(wanted: str, account_id: str, region: str) -> str | None:
    """Return what a request names, a key's id or an alias, without its ARN; None when it is another account's."""
    form = _KEY_ARN.fullmatch(wanted)
    if form is None:
        return wanted
    if (form["account_id"], form["region"]) != (account_id, region):
        return None
    return form["name"].removeprefix("key/")


def key_unusable() -> Ec2Error:
    """Refuse a key that is not there.

    EC2 answers the action as if it were, and what it made fails a moment later, an instance with this code as its
    StateReason (EC2 API Reference, CreateVolume, KmsKeyId: "the action can appear to complete, but eventually fails").
    Here the answer itself says so, and nothing is made.
    """
    return Ec2Error("InvalidKMSKey.InvalidState", "The KMS key provided is in an incorrect state")


def key_needs_encrypted() -> Ec2Error:
    """Source: EC2 API Reference, CreateVolume, KmsKeyId; wording as AWS answers it."""
    return Ec2Error("InvalidParameterDependency", "The parameter KmsKeyId requires the parameter Encrypted to be set.")


def stays_encrypted() -> Ec2Error:
    """Source: EC2 API Reference, EbsBlockDevice, Encrypted: in no case can encryption be removed."""
    return invalid_combination("The parameter Encrypted cannot be false: the source is encrypted.")


def default_key_not_shared() -> Ec2Error:
    """Source: EBS User Guide, "Share a snapshot": not one that is encrypted with the default AWS managed key."""
    return operation_not_permitted("Encrypted snapshots with EBS default key cannot be shared")


def image_with_default_key_not_shared() -> Ec2Error:
    """Refuse to share an image that has such a snapshot; code and wording as AWS answers it."""
    return Ec2Error(
        "InvalidParameter", "Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another snapshot"
    )
