"""What a launch is made of: everything is checked, then all records of it are reserved in one transaction."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from bakehouse.app.allowed_images import may_use
from bakehouse.app.capacity import launch_counts
from bakehouse.app.context import AppContext
from bakehouse.app.encryption import chosen_key
from bakehouse.app.launch_network import Place, PlaceRequest, choose
from bakehouse.app.launch_options import ChosenOptions, LaunchOptions, choose_options
from bakehouse.app.launch_placement import in_group
from bakehouse.app.public_access import may_read
from bakehouse.app.public_addresses import PublicAddresses
from bakehouse.app.public_parameters import resolved_image_id
from bakehouse.app.snapshots import check_completed
from bakehouse.app.spot_launch import SpotWish, spot_records
from bakehouse.domain.block_device import (
    BlockDeviceRequest,
    VolumePerformance,
    invalid_mapping,
    launch_limits,
    merged,
    performance,
    volume_size,
)
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error, invalid_parameter, malformed_id, not_found
from bakehouse.domain.hibernation import check_hibernation
from bakehouse.domain.ids import is_well_formed, new_id
from bakehouse.domain.image import BlockDevice, Image, ImageState, image_unavailable
from bakehouse.domain.image_boot import check_tpm, check_variables, current_boot_mode, emulator_missing
from bakehouse.domain.instance import Instance, InstanceState, Membership
from bakehouse.domain.instance_metadata import check_shown_tag_keys
from bakehouse.domain.instance_store import ephemeral_devices, has_nvme
from bakehouse.domain.instance_type import DEFAULT_INSTANCE_TYPE, INSTANCE_TYPES, MAX_VOLUMES, InstanceType
from bakehouse.domain.instance_type_specification import instance_type_not_for_image
from bakehouse.domain.key_pair import KeyPair, key_pair_not_found
from bakehouse.domain.kms_key import Encryption
from bakehouse.domain.placement_group import GroupWish
from bakehouse.domain.security_group import SecurityGroup
from bakehouse.domain.speed_limits import SpeedLimits
from bakehouse.domain.spot_request import check_unprotected, check_valid_until
from bakehouse.domain.tags import check_tags
from bakehouse.domain.tags import merged as merged_tags
from bakehouse.domain.volume import AttachmentState, Volume, VolumeAttachment, VolumeState
from bakehouse.ports.hypervisor import GuestSupport
from bakehouse.store.store import Transaction

#: Source: EC2 User Guide, "Run commands on your Linux instance at launch": 16 KB before it is encoded.
USER_DATA_MAX: Final = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRequest:
    """What RunInstances asks for; what is None or empty is chosen."""

    image_id: str
    min_count: int
    max_count: int
    instance_type: str | None = None
    key_name: str | None = None
    place: PlaceRequest = PlaceRequest()
    user_data: bytes = b""
    block_devices: tuple[BlockDeviceRequest, ...] = ()
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Resource type (`instance`, `volume`, `network-interface`) to tags."""
    group: GroupWish | None = None
    spot: SpotWish | None = None
    """What it asks for on the spot market, if it goes there."""
    system_tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of the instances that are not the requester's: `aws:...`."""
    options: LaunchOptions = LaunchOptions()
    shutdown_behavior: str = "stop"
    termination_protected: bool = False
    stop_protected: bool = False
    ebs_optimized: bool = False
    client_token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlannedVolume:
    device: BlockDevice
    size_gib: int
    performance: VolumePerformance
    limits: SpeedLimits = SpeedLimits()
    key: str | None = None
    """ARN of the key that encrypts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """A request that was found good, with everything chosen."""

    request: LaunchRequest
    image: Image
    instance_type: InstanceType
    boot_mode: str
    key_pair: KeyPair | None
    place: Place
    volumes: tuple[_PlannedVolume, ...]
    ephemeral_devices: tuple[tuple[str, str], ...]
    tags: Mapping[str, dict[str, str]]
    options: ChosenOptions
    memberships: tuple[Membership | None, ...]
    """In a placement group, of each instance."""
    groups: tuple[SecurityGroup, ...]
    """Those of the first interface."""


def plan(
    context: AppContext,
    caller: Caller,
    request: LaunchRequest,
    pool: PublicAddresses,
    guests: Mapping[str, GuestSupport],
) -> LaunchPlan:
    """Check a request and choose what it leaves open, or refuse it. Changes nothing.

    `guests` is what the hypervisor can run, by architecture.
    """
    image = launchable_image(context, caller, resolved_image_id(context, caller, request.image_id))
    instance_type = checked_type(request.instance_type or DEFAULT_INSTANCE_TYPE, image.architecture)
    guest = guests.get(image.architecture)
    if guest is None:
        raise emulator_missing(image.architecture)
    boot_mode = current_boot_mode(image, instance_type, guest.boot_modes)
    check_variables(image, boot_mode, here=guest.has_uefi_data)
    check_tpm(image, instance_type, here=guest.has_tpm)
    specification = image.instance_type_specification
    if specification is not None and not specification.allows(instance_type.name):
        raise instance_type_not_for_image(instance_type.name, image.id)
    check_user_data(request.user_data)
    if request.spot is not None:
        _check_spot(request, request.spot, context.now())
    if request.ebs_optimized:
        check_ebs_optimized(instance_type)
    options = choose_options(context, caller, request.options, image, instance_type)
    counts = request.min_count, request.max_count
    counts = launch_counts(context, caller, instance_type, counts, spot=request.spot is not None)
    place = choose(context, caller, request.place, counts, pool, instance_type)
    place, memberships = in_group(context, caller, request.group, place, instance_type, request.min_count)
    volumes = _volumes(context, caller, request, image, instance_type)
    local_disks = ephemeral_devices(merged(image.block_devices, request.block_devices))
    if options.hibernation:
        root = next(it for it in volumes if it.device.device_name == image.root_device_name)
        check_hibernation(
            instance_type,
            root_encrypted=root.key is not None,
            root_gib=root.size_gib,
            has_tpm=image.tpm_support is not None,
            has_local_disks=instance_type.local_disks is not None and (has_nvme(instance_type) or bool(local_disks)),
            is_spot=request.spot is not None,
        )
    return LaunchPlan(
        request=request,
        image=image,
        instance_type=instance_type,
        boot_mode=boot_mode,
        key_pair=_key_pair(context, caller, request.key_name),
        place=place,
        memberships=memberships,
        groups=tuple(context.store.security_groups[it] for it in place.interfaces[0][0].group_ids),
        ephemeral_devices=local_disks,
        volumes=volumes,
        tags=_tags(request, shown=options.metadata_options.tags_enabled),
        options=options,
    )


def reserve(transaction: Transaction, plan: LaunchPlan, caller: Caller, now: datetime) -> list[Instance]:
    """Put all records of a launch: instances `pending`, their interfaces, their volumes; the client token too."""
    now = now.replace(microsecond=0)
    reservation_id = new_id("reservation")
    instances = []
    for index, interfaces in enumerate(plan.place.interfaces):
        instance = _instance(plan, caller, now, reservation_id, index)
        volumes = [_volume(plan, instance, volume) for volume in plan.volumes]
        if plan.request.spot is not None:
            instance, spot_request = spot_records(instance, plan.request.spot, plan.groups, volumes)
            transaction.put(spot_request)
        transaction.put(instance)
        for interface in interfaces:
            transaction.put(interface.record(instance, plan.tags["network-interface"], now))
        for volume in volumes:
            transaction.put(volume)
        instances.append(instance)
    transaction.put(replace(plan.image, last_launched_at=now))
    transaction.remember(caller, reservation_id, now.timestamp())
    return instances


def checked_type(name: str, architecture: str) -> InstanceType:
    """Return an instance type that runs this architecture, or refuse."""
    instance_type = INSTANCE_TYPES.get(name)
    if instance_type is None:
        raise invalid_parameter(f"Invalid value '{name}' for InstanceType.")
    if architecture not in instance_type.architectures:
        raise invalid_parameter(
            f"The architecture '{','.join(instance_type.architectures)}' of the specified instance type does not match "
            f"the architecture '{architecture}' of the specified AMI. Specify an instance type and an AMI that have "
            "matching architectures, and try again. You can use 'describe-instance-types' or 'describe-images' to "
            "discover the architecture of the instance type or AMI."
        )
    return instance_type


def check_user_data(user_data: bytes) -> None:
    """Refuse user data that is too long."""
    if len(user_data) > USER_DATA_MAX:
        raise invalid_parameter(f"User data is limited to {USER_DATA_MAX} bytes")


def check_ebs_optimized(instance_type: InstanceType) -> None:
    """Refuse EBS optimization of a type that does not have it. Source: EC2 User Guide, "EBS-optimized instances"."""
    if instance_type.ebs_optimized == "unsupported":
        raise Ec2Error(
            "Unsupported",
            "EBS-optimized instances are not supported for your requested configuration. Please check the "
            "documentation for supported configurations.",
        )


def launchable_image(context: AppContext, caller: Caller, image_id: str) -> Image:
    """Return an image that the caller may launch now, or refuse: InvalidAMIID.NotFound, InvalidAMIID.Unavailable."""
    if not is_well_formed(image_id, "image"):
        raise malformed_id("image", image_id)
    image = context.store.images.get(image_id)
    if image is None or image.region != caller.region or not may_use(context, caller, image):
        raise not_found("image", [image_id])
    if image.state is not ImageState.AVAILABLE:
        raise image_unavailable(image_id)
    return image


def _check_spot(request: LaunchRequest, wish: SpotWish, now: datetime) -> None:
    check_unprotected(
        termination_protected=request.termination_protected,
        stop_protected=request.stop_protected,
    )
    if wish.valid_until is not None:
        check_valid_until(wish.valid_until, now)


def _key_pair(context: AppContext, caller: Caller, name: str | None) -> KeyPair | None:
    if name is None:
        return None
    for key_pair in context.store.key_pairs.by("scope")[caller.account_id, caller.region].values():
        if key_pair.name == name:
            return key_pair
    raise key_pair_not_found(name)


def _tags(request: LaunchRequest, *, shown: bool) -> dict[str, dict[str, str]]:
    for tags in request.tags.values():
        check_tags(tags)
    if shown:
        check_shown_tag_keys(request.tags.get("instance", {}))
    return {kind: merged_tags({}, request.tags.get(kind, {})) for kind in ("instance", "volume", "network-interface")}


def _volumes(
    context: AppContext, caller: Caller, request: LaunchRequest, image: Image, instance_type: InstanceType
) -> tuple[_PlannedVolume, ...]:
    devices = [device for device in merged(image.block_devices, request.block_devices) if device.virtual_name is None]
    if not any(device.device_name == image.root_device_name for device in devices):
        raise invalid_mapping(f"The root device '{image.root_device_name}' cannot be left out")
    if len(devices) > MAX_VOLUMES + 1:
        raise Ec2Error(
            "AttachmentLimitExceeded",
            f"An instance of type {instance_type.name} can have {MAX_VOLUMES} volumes beside its root.",
        )
    from_image = {device.snapshot_id for device in image.block_devices}
    said = {it.device_name: it.encrypted for it in request.block_devices if it.encrypted is not None}
    planned = [
        _planned(
            context,
            caller,
            device,
            encrypted=said.get(device.device_name),
            trusted=device.snapshot_id in from_image,
        )
        for device in devices
    ]
    return tuple(replace(it, limits=launch_limits(it.device, request.block_devices)) for it in planned)


def _planned(
    context: AppContext, caller: Caller, device: BlockDevice, *, encrypted: bool | None, trusted: bool
) -> _PlannedVolume:
    """Plan a volume. A snapshot that comes with the image is `trusted`: who may launch it may read it.

    `encrypted` is what the request says of it, whatever the image does.
    """
    snapshot = snapshot_gib = None
    if device.snapshot_id is not None:
        snapshot = context.store.snapshots.get(device.snapshot_id)
        if snapshot is None or snapshot.region != caller.region:
            raise not_found("snapshot", [device.snapshot_id])
        if not trusted and not may_read(context, caller.account_id, snapshot):
            raise not_found("snapshot", [device.snapshot_id])
        check_completed(snapshot)
        snapshot_gib = snapshot.volume_size_gib
    size_gib = volume_size(device.device_name, device.size_gib, device.snapshot_id, snapshot_gib)
    figures = performance(device.volume_type, size_gib, device.iops, device.throughput_mibps)
    wanted = Encryption(encrypted=encrypted if snapshot is not None else device.encrypted or None, key=device.kms_key)
    key = chosen_key(context, caller, wanted, snapshot)
    return _PlannedVolume(device=device, size_gib=size_gib, performance=figures, key=key)


def _instance(plan: LaunchPlan, caller: Caller, now: datetime, reservation_id: str, index: int) -> Instance:
    request, subnet = plan.request, plan.place.subnet
    instance = Instance(
        id=new_id("instance"),
        account_id=caller.account_id,
        region=caller.region,
        reservation_id=reservation_id,
        launch_index=index,
        image_id=plan.image.id,
        type=plan.instance_type.name,
        architecture=plan.image.architecture,
        boot_mode=plan.image.boot_mode,
        current_boot_mode=plan.boot_mode,
        tpm_support=plan.image.tpm_support,
        uefi_data=plan.image.uefi_data,
        sriov_net_support=plan.image.sriov_net_support,
        disk_bus=plan.image.disk_bus,
        state=InstanceState.PENDING,
        launched_at=now,
        availability_zone=subnet.availability_zone,
        vpc_id=subnet.vpc_id,
        subnet_id=subnet.id,
        network_interface_id=plan.place.interfaces[index][0].id,
        root_device_name=plan.image.root_device_name,
        ephemeral_devices=plan.ephemeral_devices,
        key_name=plan.key_pair.name if plan.key_pair else None,
        public_key=plan.key_pair.public_key if plan.key_pair else None,
        user_data=request.user_data,
        shutdown_behavior=request.shutdown_behavior,
        termination_protected=request.termination_protected,
        stop_protected=request.stop_protected,
        ebs_optimized=request.ebs_optimized,
        membership=plan.memberships[index],
        client_token=request.client_token,
        hardware_uuid=f"ec2{str(uuid.uuid4())[3:]}",
        tags={**plan.tags["instance"], **request.system_tags},
    )
    return plan.options.applied(instance, subnet)


def _volume(plan: LaunchPlan, instance: Instance, planned: _PlannedVolume) -> Volume:
    device = planned.device
    return Volume(
        id=new_id("volume"),
        account_id=instance.account_id,
        region=instance.region,
        availability_zone=instance.availability_zone,
        size_gib=planned.size_gib,
        state=VolumeState.CREATING,
        type=device.volume_type,
        created_at=instance.launched_at,
        snapshot_id=device.snapshot_id,
        iops=planned.performance.iops,
        throughput_mibps=planned.performance.throughput_mibps,
        limits=planned.limits,
        encrypted=planned.key is not None,
        kms_key_id=planned.key,
        attachment=VolumeAttachment(
            instance_id=instance.id,
            device_name=device.device_name,
            state=AttachmentState.ATTACHING,
            attached_at=instance.launched_at,
            delete_on_termination=device.delete_on_termination,
        ),
        tags=dict(plan.tags["volume"]),
    )
