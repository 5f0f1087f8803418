"""The use cases, one object for each noun."""

from bakehouse.app.accounts import Accounts
from bakehouse.app.allowed_images import AllowedImagesSettings
from bakehouse.app.client_tokens import ClientTokens
from bakehouse.app.consoles import Consoles
from bakehouse.app.context import AppContext
from bakehouse.app.export_tasks import ExportTasks
from bakehouse.app.fleets import Fleets
from bakehouse.app.host import Host
from bakehouse.app.iam_policies import IamPolicies
from bakehouse.app.iam_profiles import IamProfiles
from bakehouse.app.iam_roles import IamRoles
from bakehouse.app.image_ancestry import ImageAncestry
from bakehouse.app.image_instance_types import ImageInstanceTypes
from bakehouse.app.image_lifecycle import ImageLifecycle
from bakehouse.app.image_parameters import ImageParameters
from bakehouse.app.image_references import ImageReferences
from bakehouse.app.image_usage_reports import ImageUsageReports
from bakehouse.app.image_watermarks import ImageWatermarks
from bakehouse.app.images import Images
from bakehouse.app.import_tasks import ImportTasks
from bakehouse.app.instance_events import InstanceEvents
from bakehouse.app.instance_firmware import InstanceFirmware
from bakehouse.app.instance_health import InstanceHealth
from bakehouse.app.instance_images import InstanceImages
from bakehouse.app.instance_options import InstanceOptions
from bakehouse.app.instances import Instances
from bakehouse.app.key_pairs import KeyPairs
from bakehouse.app.launch_templates import LaunchTemplates
from bakehouse.app.login_keys import LoginKeys
from bakehouse.app.metadata import Metadata
from bakehouse.app.name_lookups import NameLookups
from bakehouse.app.network_use_cases import NetworkUseCases
from bakehouse.app.placement_groups import PlacementGroups
from bakehouse.app.profile_associations import ProfileAssociations
from bakehouse.app.public_access import PublicAccessSettings
from bakehouse.app.public_names import PublicNames
from bakehouse.app.public_parameters import PublicParameters
from bakehouse.app.recycle_bin import RecycleBin
from bakehouse.app.retention_rules import RetentionRules
from bakehouse.app.role_sessions import RoleSessions
from bakehouse.app.serial_sessions import SerialSessions
from bakehouse.app.spot_requests import SpotRequests
from bakehouse.app.storage_use_cases import StorageUseCases
from bakehouse.app.store_image_tasks import StoreImageTasks
from bakehouse.app.tags import Tags


class App(NetworkUseCases, StorageUseCases):
    """Everything that a handler may call."""

    def __init__(self, context: AppContext) -> None:
        """Make each noun's use cases over the same context."""
        NetworkUseCases.__init__(self, context)
        StorageUseCases.__init__(self, context)
        self.accounts = Accounts(context)
        self.allowed_images = AllowedImagesSettings(context)
        self.client_tokens = ClientTokens(context)
        self.consoles = Consoles(context)
        self.host = Host(context)
        self.images = Images(context)
        self.export_tasks = ExportTasks(context, self.images)
        self.image_lifecycle = ImageLifecycle(context, self.images)
        self.iam_policies = IamPolicies(context)
        self.iam_roles = IamRoles(context)
        self.iam_profiles = IamProfiles(context, self.iam_roles)
        self.image_ancestry = ImageAncestry(context, self.images)
        self.image_instance_types = ImageInstanceTypes(context, self.images)
        self.image_parameters = ImageParameters(context)
        self.image_references = ImageReferences(context)
        self.image_usage_reports = ImageUsageReports(context, self.images)
        self.image_watermarks = ImageWatermarks(context, self.images)
        self.instance_firmware = InstanceFirmware(context)
        self.instance_images = InstanceImages(context, self.allowed_images)
        self.instance_events = InstanceEvents(context)
        self.instance_health = InstanceHealth(context)
        self.instance_options = InstanceOptions(context)
        self.import_tasks = ImportTasks(context)
        self.instances = Instances(context, self.public_addresses)
        self.fleets = Fleets(context, self.instances, self.public_addresses)
        self.key_pairs = KeyPairs(context)
        self.launch_templates = LaunchTemplates(context)
        self.login_keys = LoginKeys(context)
        self.role_sessions = RoleSessions(context)
        self.metadata = Metadata(context, self.role_sessions, self.login_keys)
        self.name_lookups = NameLookups()
        self.profile_associations = ProfileAssociations(context)
        self.placement_groups = PlacementGroups(context)
        self.public_access = PublicAccessSettings(context)
        self.public_names = PublicNames(context)
        self.public_parameters = PublicParameters(context)
        self.recycle_bin = RecycleBin(context)
        self.retention_rules = RetentionRules(context)
        self.serial_sessions = SerialSessions(context, self.consoles)
        self.spot_requests = SpotRequests(context)
        self.store_image_tasks = StoreImageTasks(context, self.images)
        self.tags = Tags(context)
