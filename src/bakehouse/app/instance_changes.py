"""Changes of an instance's attributes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bakehouse.app.context import AppContext, owned
from bakehouse.app.launch import check_ebs_optimized, check_user_data, checked_type
from bakehouse.app.network_interfaces import check_interfaces, only_interface, run_in_turn, stage_interface, with_groups
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.hibernation import is_hibernated
from bakehouse.domain.image_boot import boot_mode_not_supported, tpm_not_supported
from bakehouse.domain.instance import Instance, InstanceState, instance_must_be
from bakehouse.domain.instance_options import checked_credits
from bakehouse.domain.instance_type import INSTANCE_TYPES
from bakehouse.domain.network_interface import NetworkInterface
from bakehouse.domain.spot_request import not_modifiable
from bakehouse.sagas.machine import interfaces_of, volumes_of
from bakehouse.store.store import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceChange:
    """New values of attributes; what is None stays."""

    instance_type: str | None = None
    user_data: bytes | None = None
    termination_protected: bool | None = None
    stop_protected: bool | None = None
    shutdown_behavior: str | None = None
    ebs_optimized: bool | None = None
    group_ids: tuple[str, ...] | None = None
    source_dest_check: bool | None = None
    sriov_net_support: str | None = None
    delete_on_termination: Mapping[str, bool] = field(default_factory=dict)
    """Device name to whether its volume goes with the instance."""


async def modify(context: AppContext, caller: Caller, instance_id: str, change: InstanceChange) -> None:
    """Change an instance's attributes, all or none.

    The type, the user data, EBS optimization and SR-IOV change only while the instance is stopped:
    IncorrectInstanceState; so is what becomes of the volumes of an instance that is being terminated, or was, and what
    protects it. Nothing protects a spot instance: UnsupportedOperation. Groups and the check of sources take effect on
    a running machine before this returns; they are those of the only interface, else InvalidInstanceID.
    """
    store = context.store
    (instance,) = owned(store.instances, caller, "instance", [instance_id])
    saga_id = None
    async with store.transaction() as tx:
        if change.group_ids is not None:
            interface = only_interface(store, instance)
            saga_id = stage_interface(context, tx, with_groups(context, caller, interface, change.group_ids))
        if change.source_dest_check is not None:
            interface = replace(only_interface(store, instance), source_dest_check=change.source_dest_check)
            saga_id = stage_interface(context, tx, interface)
        for device_name, deleted in change.delete_on_termination.items():
            _put_delete_on_termination(context, tx, instance, device_name, deleted=deleted)
        changed = _changed(instance, change, interfaces_of(store, instance.id))
        if changed != instance:
            tx.put(changed)
    await run_in_turn(context, [saga_id], of=instance.id)


def _put_delete_on_termination(
    context: AppContext, tx: Transaction, instance: Instance, device_name: str, *, deleted: bool
) -> None:
    _must_not_have_ended(instance)  # their bytes may be gone already
    for volume in volumes_of(context.store, instance):
        if volume.attachment is not None and volume.attachment.device_name == device_name:
            tx.put(replace(volume, attachment=replace(volume.attachment, delete_on_termination=deleted)))
            return
    raise Ec2Error("InvalidInstanceAttributeValue", f"No device is currently mapped at {device_name}")


def _changed(instance: Instance, change: InstanceChange, interfaces: Sequence[NetworkInterface]) -> Instance:
    _check_protections(instance, change)
    changed = instance
    if change.instance_type is not None:
        changed = _retyped(instance, change.instance_type, interfaces)
    if change.user_data is not None:
        _must_be_stopped(instance)
        check_user_data(change.user_data)
        changed = replace(changed, user_data=change.user_data)
    if change.ebs_optimized is not None:
        _must_be_stopped(instance)
        if change.ebs_optimized:
            check_ebs_optimized(INSTANCE_TYPES[changed.type])
        changed = replace(changed, ebs_optimized=change.ebs_optimized)
    if change.sriov_net_support is not None:
        # Source: EC2 User Guide, "Enhanced networking with the Intel 82599 VF interface".
        _must_be_stopped(instance)
        changed = replace(changed, sriov_net_support=change.sriov_net_support)
    if change.termination_protected is not None:
        changed = replace(changed, termination_protected=change.termination_protected)
    if change.stop_protected is not None:
        changed = replace(changed, stop_protected=change.stop_protected)
    if change.shutdown_behavior is not None:
        changed = replace(changed, shutdown_behavior=change.shutdown_behavior)
    return changed


def _check_protections(instance: Instance, change: InstanceChange) -> None:
    """Refuse to change what ends an instance that has ended, or that only the spot market ends."""
    given = {
        "disableApiTermination": change.termination_protected,
        "disableApiStop": change.stop_protected,
        "instanceInitiatedShutdownBehavior": change.shutdown_behavior,
    }
    for attribute, value in given.items():
        if value is None:
            continue
        if instance.spot_request_id is not None:
            raise not_modifiable(attribute)
        _must_not_have_ended(instance)


def _must_not_have_ended(instance: Instance) -> None:
    if instance.state in (InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED):
        raise instance_must_be(instance.id, "running', 'stopped")


def _retyped(instance: Instance, name: str, interfaces: Sequence[NetworkInterface]) -> Instance:
    """Return the instance with another type, whose own processors and credits it gets.

    Source: EC2 User Guide, "CPU options for Amazon EC2 instances": another type begins with its own.
    """
    _must_be_stopped(instance)
    if instance.hibernated:
        raise is_hibernated(instance.id)
    if name not in INSTANCE_TYPES:
        # Source: EC2 API Reference, Error codes, InvalidInstanceAttributeValue.
        raise Ec2Error("InvalidInstanceAttributeValue", f"Invalid value '{name}' for InstanceType.")
    instance_type = checked_type(name, instance.architecture)
    if instance.current_boot_mode not in instance_type.boot_modes:
        raise boot_mode_not_supported(instance_type.name, instance.current_boot_mode)
    if instance.tpm_support is not None and not instance_type.has_tpm:
        raise tpm_not_supported(instance_type.name)
    if instance_type.name == instance.type:
        return instance
    check_interfaces(instance_type, interfaces)
    return replace(
        instance, type=instance_type.name, cpu_options=None, cpu_credits=checked_credits(instance_type, None)
    )


def _must_be_stopped(instance: Instance) -> None:
    if instance.state is not InstanceState.STOPPED:
        raise instance_must_be(instance.id, "stopped")
