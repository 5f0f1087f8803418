"""The use cases, one object for each noun."""

from bakehouse.app.accounts import Accounts
from bakehouse.app.allowed_images import AllowedImagesSettings
from bakehouse.app.client_tokens import ClientTokens
from bakehouse.app.context import AppContext
from bakehouse.app.host import Host
from bakehouse.app.image_lifecycle import ImageLifecycle
from bakehouse.app.images import Images
from bakehouse.app.instances import Instances
from bakehouse.app.key_pairs import KeyPairs
from bakehouse.app.metadata import Metadata
from bakehouse.app.networks import Networks
from bakehouse.app.recycle_bin import RecycleBin
from bakehouse.app.retention_rules import RetentionRules
from bakehouse.app.public_access import PublicAccessSettings
from bakehouse.app.security_groups import SecurityGroups
from bakehouse.app.snapshots import Snapshots
from bakehouse.app.tags import Tags
from bakehouse.app.volumes import Volumes


class App:
    """Everything that a handler may call."""

    def __init__(self, context: AppContext) -> None:
        """Make each noun's use cases over the same context."""
        self.accounts = Accounts(context)
        self.allowed_images = AllowedImagesSettings(context)
        self.client_tokens = ClientTokens(context)
        self.host = Host(context)
        self.images = Images(context)
        self.image_lifecycle = ImageLifecycle(context, self.images)
        self.instances = Instances(context)
        self.key_pairs = KeyPairs(context)
        self.metadata = Metadata(context)
        self.networks = Networks(context)
        self.recycle_bin = RecycleBin(context)
        self.retention_rules = RetentionRules(context)
        self.public_access = PublicAccessSettings(context)
        self.security_groups = SecurityGroups(context)
        self.snapshots = Snapshots(context)
        self.tags = Tags(context)
        self.volumes = Volumes(context)
