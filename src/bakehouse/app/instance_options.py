"""Changes of how an instance is: metadata options, processors, credits, names, maintenance, monitoring."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bakehouse.app.account_settings import change_settings, settings_of
from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.network_interfaces import run_in_turn, stage_interface
from bakehouse.domain.account_settings import AccountSettings
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.hibernation import is_hibernated
from bakehouse.domain.instance import Instance, InstanceState, instance_must_be
from bakehouse.domain.instance_metadata import check_shown_tag_keys
from bakehouse.domain.instance_options import (
    CpuCredits,
    HostnameType,
    Switch,
    cannot_be_monitored,
    checked_cpu_options,
    checked_credits,
    cpu_options_incomplete,
    credits_named_twice,
    credits_not_supported,
)
from bakehouse.domain.instance_type import INSTANCE_TYPES, InstanceType
from bakehouse.domain.metadata_options import MetadataPreferences, check_enforced

#: What is told of one instance while the others are changed; anything else refuses the request.
#: Source: EC2 API Reference, UnsuccessfulInstanceCreditSpecificationItemError, code.
_CREDIT_REFUSALS: Final = frozenset(
    {
        "IncorrectInstanceState",
        "InstanceCreditSpecification.NotSupported",
        "InvalidInstanceID.Malformed",
        "InvalidInstanceID.NotFound",
    }
)

_GONE: Final = (InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditRefusal:
    """An instance whose credit option was not changed, and why."""

    instance_id: str
    refusal: Ec2Error


class InstanceOptions:
    """Use cases on instances' options."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def modify_metadata(self, caller: Caller, instance_id: str, wanted: MetadataPreferences) -> Instance:
        """Change how the guest may ask the metadata service; its next request meets it.

        Refuses tags whose keys cannot be shown (InvalidParameterValue), and IMDSv1 where the account enforces IMDSv2
        (UnsupportedOperation).
        """
        instance = self._living(caller, instance_id)
        options = wanted.over(instance.metadata_options)
        settings = settings_of(self._context, caller.account_id, caller.region)
        check_enforced(options, tokens_enforced=bool(settings.metadata_tokens_enforced))
        if options.tags_enabled:
            check_shown_tag_keys(instance.tags)
        return await self._put(replace(instance, metadata_options=options))

    def metadata_defaults(self, caller: Caller) -> AccountSettings:
        """Return what the account has chosen for new instances."""
        return settings_of(self._context, caller.account_id, caller.region)

    async def modify_metadata_defaults(
        self, caller: Caller, defaults: MetadataPreferences, *, tokens_enforced: bool | None
    ) -> None:
        """Choose what new instances begin with. Refuses IMDSv1 by default where IMDSv2 is enforced."""
        if tokens_enforced and defaults.tokens_required is False:
            raise Ec2Error(
                "InvalidParameterCombination", "HttpTokens cannot be optional while HttpTokensEnforced is enabled."
            )
        await change_settings(
            self._context, caller, metadata_defaults=defaults, metadata_tokens_enforced=tokens_enforced
        )

    async def modify_maintenance(
        self, caller: Caller, instance_id: str, *, auto_recovery: Switch | None, reboot_migration: Switch | None
    ) -> Instance:
        """Choose what is done for an instance without its owner."""
        instance = self._living(caller, instance_id)
        maintenance = replace(
            instance.maintenance,
            auto_recovery=auto_recovery or instance.maintenance.auto_recovery,
            reboot_migration=reboot_migration or instance.maintenance.reboot_migration,
        )
        return await self._put(replace(instance, maintenance=maintenance))

    async def modify_capacity_preference(self, caller: Caller, instance_id: str, preference: str) -> None:
        """Choose whether a stopped instance would run in open Capacity Reservations.

        Refuses others: IncorrectInstanceState.
        """
        (instance,) = owned(self._context.store.instances, caller, "instance", [instance_id])
        if instance.state is not InstanceState.STOPPED:
            raise instance_must_be(instance.id, "stopped")
        await self._put(replace(instance, capacity_preference=preference))

    async def modify_cpu(
        self, caller: Caller, instance_id: str, *, core_count: int | None, threads_per_core: int | None
    ) -> Instance:
        """Choose the processors of a stopped instance; its next start has them.

        Refuses others, and one that is hibernated (IncorrectInstanceState), and what its type has not
        (InvalidParameterValue).
        """
        (instance,) = owned(self._context.store.instances, caller, "instance", [instance_id])
        if instance.state is not InstanceState.STOPPED:
            raise instance_must_be(instance.id, "stopped")
        if instance.hibernated:
            raise is_hibernated(instance.id)
        options = checked_cpu_options(INSTANCE_TYPES[instance.type], core_count, threads_per_core)
        if options is None:
            raise cpu_options_incomplete()
        return await self._put(replace(instance, cpu_options=options))

    async def modify_names(
        self,
        caller: Caller,
        instance_id: str,
        *,
        hostname_type: HostnameType | None,
        a_record: bool | None,
        aaaa_record: bool | None,
    ) -> None:
        """Choose how an instance is called. Its host name changes while it is stopped only: IncorrectInstanceState."""
        instance = self._living(caller, instance_id)
        before = instance.private_names
        names = replace(
            before,
            hostname_type=hostname_type or before.hostname_type,
            resource_name_a_record=before.resource_name_a_record if a_record is None else a_record,
            resource_name_aaaa_record=before.resource_name_aaaa_record if aaaa_record is None else aaaa_record,
        )
        if names.hostname_type != before.hostname_type and instance.state is not InstanceState.STOPPED:
            raise instance_must_be(instance.id, "stopped")
        store = self._context.store
        async with store.transaction() as tx:
            tx.put(replace(instance, private_names=names))
            interface = store.network_interfaces[instance.network_interface_id]
            saga_id = stage_interface(self._context, tx, interface)
        await run_in_turn(self._context, [saga_id], of=instance.id)

    async def monitor(self, caller: Caller, instance_ids: Iterable[str], *, detailed: bool) -> list[Instance]:
        """Say that instances are monitored in detail, or no more; of all, or, when one of them has ended, of none."""
        instances = owned(self._context.store.instances, caller, "instance", instance_ids)
        for instance in instances:
            if instance.state in _GONE:
                raise cannot_be_monitored(instance.id)
        async with self._context.store.transaction() as tx:
            for instance in instances:
                tx.put(replace(instance, monitoring=detailed))
        return instances

    def credits(self, caller: Caller, instance_ids: Sequence[str] | None) -> list[tuple[Instance, CpuCredits]]:
        """Return instances with their credit options: these, or all with unlimited credits, as EC2 does.

        Refuses those of types without credits (InstanceCreditSpecification.NotSupported).
        """
        store = self._context.store
        if instance_ids:
            named = owned(store.instances, caller, "instance", instance_ids)
            return [(instance, self._credits_of(instance)) for instance in named]
        burstable = [it for it in scope(store.instances, caller) if _type(it).burstable]
        found = [(it, self._credits_of(it)) for it in burstable if it.state is not InstanceState.TERMINATED]
        return [(instance, option) for instance, option in found if option == "unlimited"]

    async def modify_credits(
        self, caller: Caller, wanted: Sequence[tuple[str, str | None]]
    ) -> tuple[list[str], list[CreditRefusal]]:
        """Change credit options, each by itself; return the ids of those changed, and those refused.

        An option that there is not, and an instance named twice, is refused before anything changes.
        """
        if len(dict(wanted)) < len(wanted):
            raise credits_named_twice()
        changed, refused = [], []
        async with self._context.store.transaction() as tx:
            for instance_id, option in wanted:
                try:
                    instance = self._living(caller, instance_id)
                    chosen = checked_credits(_type(instance), option)
                    if chosen is None:
                        raise credits_not_supported(instance.id)
                except Ec2Error as refusal:
                    if refusal.code not in _CREDIT_REFUSALS:
                        raise
                    refused.append(CreditRefusal(instance_id=instance_id, refusal=refusal))
                else:
                    tx.put(replace(instance, cpu_credits=chosen))
                    changed.append(instance_id)
            tx.remember(caller, " ".join(changed), self._context.now().timestamp())
        return changed, refused

    def _credits_of(self, instance: Instance) -> CpuCredits:
        chosen = instance.cpu_credits or checked_credits(_type(instance), None)
        if chosen is None or not _type(instance).burstable:
            raise credits_not_supported(instance.id)
        return chosen

    def _living(self, caller: Caller, instance_id: str) -> Instance:
        (instance,) = owned(self._context.store.instances, caller, "instance", [instance_id])
        if instance.state in _GONE:
            raise instance_must_be(instance.id, "running', 'stopped")
        return instance

    async def _put(self, instance: Instance) -> Instance:
        async with self._context.store.transaction() as tx:
            tx.put(instance)
        return instance


def _type(instance: Instance) -> InstanceType:
    return INSTANCE_TYPES[instance.type]
