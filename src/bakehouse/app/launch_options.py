"""What a launch asks for beside image, type, place and disks, and what becomes of it."""

from dataclasses import dataclass, replace

from bakehouse.app.account_settings import settings_of
from bakehouse.app.context import AppContext
from bakehouse.app.profile_associations import ProfileReference, found_profile, new_association
from bakehouse.domain.caller import Caller
from bakehouse.domain.image import Image
from bakehouse.domain.instance import Instance
from bakehouse.domain.instance_options import (
    CpuCredits,
    CpuOptions,
    Maintenance,
    NameRequest,
    checked_cpu_options,
    checked_credits,
)
from bakehouse.domain.instance_type import InstanceType
from bakehouse.domain.metadata_options import MetadataOptions, MetadataPreferences, at_launch
from bakehouse.domain.network import Subnet
from bakehouse.domain.profile_association import ProfileAssociation


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOptions:
    """What RunInstances asks for; what is None is chosen."""

    metadata: MetadataPreferences = MetadataPreferences()
    core_count: int | None = None
    threads_per_core: int | None = None
    cpu_credits: str | None = None
    names: NameRequest = NameRequest()
    maintenance: Maintenance = Maintenance()
    capacity_preference: str = "open"
    monitoring: bool = False
    hibernation: bool = False
    profile: ProfileReference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenOptions:
    """What every instance of the launch has."""

    metadata_options: MetadataOptions
    cpu_options: CpuOptions | None
    cpu_credits: CpuCredits | None
    names: NameRequest
    maintenance: Maintenance
    capacity_preference: str
    monitoring: bool
    hibernation: bool
    profile: ProfileAssociation | None

    def applied(self, instance: Instance, subnet: Subnet) -> Instance:
        """Return the instance, which goes into this subnet, with these options."""
        return replace(
            instance,
            metadata_options=self.metadata_options,
            cpu_options=self.cpu_options,
            cpu_credits=self.cpu_credits,
            private_names=self.names.in_subnet(subnet),
            maintenance=self.maintenance,
            capacity_preference=self.capacity_preference,
            monitoring=self.monitoring,
            hibernation=self.hibernation,
            # QEMU saves no machine with NVMe disks.
            disk_bus="virtio" if self.hibernation else instance.disk_bus,
            profile=self.profile,
        )


def choose_options(
    context: AppContext, caller: Caller, asked: LaunchOptions, image: Image, instance_type: InstanceType
) -> ChosenOptions:
    """Check what is asked for and choose what is left open, or refuse."""
    settings = settings_of(context, caller.account_id, caller.region)
    return ChosenOptions(
        metadata_options=at_launch(
            asked.metadata,
            settings.metadata_defaults,
            image.imds_support,
            tokens_enforced=bool(settings.metadata_tokens_enforced),
        ),
        cpu_options=checked_cpu_options(instance_type, asked.core_count, asked.threads_per_core),
        cpu_credits=checked_credits(instance_type, asked.cpu_credits),
        names=asked.names,
        maintenance=asked.maintenance,
        capacity_preference=asked.capacity_preference,
        monitoring=asked.monitoring,
        hibernation=asked.hibernation,
        profile=None
        if asked.profile is None
        else new_association(context, found_profile(context, caller, asked.profile)),
    )
