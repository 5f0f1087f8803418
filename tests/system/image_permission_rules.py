"""The rules of sharing images, as plainly as they can be said: what tests hold a server against.

Source: EC2 User Guide, "Understand shared AMI usage", "Disable an AMI", "Deprecate an AMI", "Protect an AMI from
deregistration", "Block public access to your AMIs", "Control the discovery and use of AMIs with Allowed AMIs"; EBS User
Guide, "Block public access for snapshots".
"""

from dataclasses import dataclass, field
from datetime import datetime

NOT_FOUND = "InvalidAMIID.NotFound"
UNAVAILABLE = "InvalidAMIID.Unavailable"
NOT_PERMITTED = "OperationNotPermitted"
NOT_OWNER = "AuthFailure"
STORAGE_DENIED = "InvalidRequest"
DONE = ""
"""No refusal."""


@dataclass
class SnapshotModel:
    """A snapshot under images."""

    owner: str
    readers: set[str] = field(default_factory=set)


@dataclass
class ImageModel:
    """An image. Accounts are named by their ids."""

    owner: str
    name: str
    snapshot: SnapshotModel
    launchers: set[str] = field(default_factory=set)
    disabled: bool = False
    deprecation: datetime | None = None
    protected: bool = False
    cooldown: bool = False
    protected_until: datetime | None = None

    @property
    def public(self) -> bool:
        return "all" in self.launchers


@dataclass
class AccountModel:
    """What an account has chosen."""

    images_blocked: bool = False
    snapshots_blocked: str = "unblocked"
    allowed_state: str = "disabled"
    allowed_providers: set[str] = field(default_factory=set)
    allowed_name: str | None = None
    """The beginning of a name, as the only criterion beside the providers: either is enough."""


@dataclass
class Rules:
    """Every account and image there is, and what may be done with them."""

    accounts: dict[str, AccountModel]
    images: dict[str, ImageModel] = field(default_factory=dict)

    def allowed(self, account: str, image: ImageModel) -> bool:
        """Whether an image meets an account's criteria."""
        chosen = self.accounts[account]
        named = chosen.allowed_name is not None and image.name.startswith(chosen.allowed_name)
        return image.owner == account or image.owner in chosen.allowed_providers or named

    def there(self, account: str, image_id: str) -> bool:
        """Whether an image is there for an account, under its id."""
        image = self.images.get(image_id)
        if image is None:
            return False
        if image.owner == account:
            return True
        if not image.public and account not in image.launchers:
            return False
        return self.accounts[account].allowed_state != "enabled" or self.allowed(account, image)

    def listed(self, account: str, now: datetime, *, deprecated: bool, disabled: bool) -> set[str]:
        """The ids of the images that an account finds in lists, with or without those of two kinds."""
        return {
            image_id
            for image_id, image in self.images.items()
            if self.there(account, image_id)
            and (disabled or not image.disabled)
            and (deprecated or image.owner == account or image.deprecation is None or now < image.deprecation)
        }

    def launch(self, account: str, image_id: str) -> str:
        """The answer to a launch."""
        if not self.there(account, image_id):
            return NOT_FOUND
        return UNAVAILABLE if self.images[image_id].disabled else DONE

    def copy(self, account: str, image_id: str) -> str:
        """The answer to a copy, which needs the bytes under the image too."""
        refusal = self.launch(account, image_id)
        if refusal:
            return refusal
        return DONE if self.readable(account, self.images[image_id].snapshot) else STORAGE_DENIED

    def readable(self, account: str, snapshot: SnapshotModel) -> bool:
        """Whether an account may read a snapshot."""
        if account == snapshot.owner or account in snapshot.readers:
            return True
        return "all" in snapshot.readers and self.accounts[snapshot.owner].snapshots_blocked != "block-all-sharing"

    def change(self, account: str, image_id: str) -> str:
        """The answer to any change of an image, as far as it depends on who asks."""
        if not self.there(account, image_id):
            return NOT_FOUND
        return DONE if self.images[image_id].owner == account else NOT_OWNER

    def share(self, account: str, image_id: str, launcher: str) -> str:
        """The answer to a new launch permission: an account's, or of `all`."""
        refusal = self.change(account, image_id)
        if refusal:
            return refusal
        if self.images[image_id].disabled:
            return UNAVAILABLE
        return NOT_PERMITTED if launcher == "all" and self.accounts[account].images_blocked else DONE

    def share_snapshot(self, account: str, reader: str) -> str:
        """The answer to an owner's new permission to read a snapshot."""
        blocked = self.accounts[account].snapshots_blocked != "unblocked"
        return NOT_PERMITTED if reader == "all" and blocked else DONE

    def deregister(self, account: str, image_id: str, now: datetime) -> str:
        """The answer to a deregistration."""
        refusal = self.change(account, image_id)
        if refusal:
            return refusal
        image = self.images[image_id]
        cooling = image.protected_until is not None and now < image.protected_until
        return NOT_PERMITTED if image.protected or cooling else DONE

    def give_up(self, account: str, image_id: str) -> str:
        """The answer to an account that wants its permission to launch an image cancelled."""
        if not self.there(account, image_id):
            return NOT_FOUND
        return DONE if account in self.images[image_id].launchers else NOT_OWNER
