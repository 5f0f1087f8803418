"""Block public access: an account's images and snapshots in a region may not be shared with everybody."""

from enum import StrEnum

from bakehouse.domain.errors import Ec2Error, operation_not_permitted


class PublicAccess(StrEnum):
    """Source: EC2 API Reference, SnapshotBlockPublicAccessState; images know the first two."""

    UNBLOCKED = "unblocked"
    BLOCK_NEW_SHARING = "block-new-sharing"
    """What is public stays public."""
    BLOCK_ALL_SHARING = "block-all-sharing"
    """What is public is treated as private, and is public again when this is lifted."""


def public_image_blocked() -> Ec2Error:
    """Refuse to make an image public; code and wording as clients of EC2 have reported them."""
    return operation_not_permitted(
        "You can't publicly share this image because block public access for AMIs is enabled for this account. "
        "To publicly share the image, you must call the DisableImageBlockPublicAccess API."
    )


def encrypted_image_is_not_public(image_id: str) -> Ec2Error:
    """Refuse to make public what is encrypted: nobody else has the key.

    Source: EC2 User Guide, "Make your AMI publicly available for use in Amazon EC2", Considerations.
    """
    return operation_not_permitted(f"'{image_id}' cannot be made public because it is encrypted")


def encrypted_snapshot_is_not_public() -> Ec2Error:
    """Source: EBS User Guide, "Share an Amazon EBS snapshot"; wording as AWS answers it."""
    return operation_not_permitted("Encrypted snapshots cannot be shared publicly")


def public_snapshot_blocked() -> Ec2Error:
    """Refuse to make a snapshot public, in the words that EC2 has for images."""
    return operation_not_permitted(
        "You can't publicly share this snapshot because block public access for snapshots is enabled for this account. "
        "To publicly share the snapshot, you must call the DisableSnapshotBlockPublicAccess API."
    )
