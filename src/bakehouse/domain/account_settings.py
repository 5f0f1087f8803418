"""What an account has chosen for itself in one region."""

from dataclasses import dataclass

from bakehouse.domain.allowed_images import AllowedImages
from bakehouse.domain.metadata_options import MetadataPreferences
from bakehouse.domain.public_access import PublicAccess


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """An account's settings in a region. Where nothing was chosen there is no record, and the defaults below hold."""

    id: str
    """`ACCOUNT/REGION`, as `account_settings_id` makes it."""
    account_id: str
    region: str
    allowed_images: AllowedImages = AllowedImages()
    image_public_access: PublicAccess = PublicAccess.UNBLOCKED
    """Whether images may be made public. EC2 begins with `block-new-sharing` for accounts made since 2023."""
    snapshot_public_access: PublicAccess = PublicAccess.UNBLOCKED
    metadata_defaults: MetadataPreferences = MetadataPreferences()
    """What new instances begin with where their launch does not say."""
    metadata_tokens_enforced: bool | None = None
    """Whether no instance may take metadata requests without a token; None is no preference."""
    has_no_default_vpc: bool = False
    """Whether the default VPC was deleted: using the region does not make another one."""
    ebs_encrypted_by_default: bool = False
    ebs_default_key: str | None = None
    """Id of the key that encrypts where a request names none; None is the account's own (`kms_key.default_key_id`)."""
    serial_console_access: bool = False
    """Source: EC2 API Reference, EnableSerialConsoleAccess: "By default, access ... is disabled for your account"."""


def account_settings_id(account_id: str, region: str) -> str:
    """Return the id of an account's settings in a region."""
    return f"{account_id}/{region}"
