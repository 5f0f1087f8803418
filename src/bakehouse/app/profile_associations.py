"""Instance profiles of instances: given at launch or later, replaced, taken back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import invalid_combination, missing_parameter
from bakehouse.domain.iam import InstanceProfile
from bakehouse.domain.ids import new_id
from bakehouse.domain.instance import Instance, InstanceState, instance_must_be
from bakehouse.domain.profile_association import (
    ProfileAssociation,
    associated_already,
    invalid_profile,
    no_such_association,
    profile_without_role,
)

_GONE = (InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileReference:
    """How a request names an instance profile: by one of both."""

    arn: str | None = None
    name: str | None = None


def found_profile(context: AppContext, caller: Caller, reference: ProfileReference) -> InstanceProfile:
    """Return the profile that a request names.

    Refuses both names or none, one that the account has not, one without a role (InvalidParameterValue).
    """
    if reference.arn and reference.name:
        raise invalid_combination("The parameter 'iamInstanceProfile.name' may not be used in combination with 'arn'")
    profiles = context.store.iam_instance_profiles
    if reference.name:
        named = list(profiles.by("name")[caller.account_id, reference.name.lower()].values())
    elif reference.arn:
        named = [it for it in profiles.by("account")[caller.account_id].values() if it.arn == reference.arn]
    else:
        raise missing_parameter("iamInstanceProfile.name")
    for profile in named:
        if profile.role_id is None:
            raise profile_without_role(profile.arn)
        return profile
    raise invalid_profile(reference.name or reference.arn or "", "name" if reference.name else "arn")


def new_association(context: AppContext, profile: InstanceProfile) -> ProfileAssociation:
    """Return an association with a profile, beginning now."""
    return ProfileAssociation(
        id=new_id("iam-instance-profile-association"),
        profile_id=profile.id,
        profile_arn=profile.arn,
        associated_at=context.now().replace(microsecond=0),
    )


class ProfileAssociations:
    """Use cases on the instance profiles of instances."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def associate(self, caller: Caller, instance_id: str, reference: ProfileReference) -> Instance:
        """Give an instance a profile; its guest reads credentials at once. Refuses a second one (IncorrectState)."""
        profile = found_profile(self._context, caller, reference)
        (instance,) = owned(self._context.store.instances, caller, "instance", [instance_id])
        if instance.state in _GONE:
            raise instance_must_be(instance.id, "running', 'stopped")
        if instance.profile is not None:
            raise associated_already(instance.id)
        return await self._put(replace(instance, profile=new_association(self._context, profile)))

    async def disassociate(self, caller: Caller, association_id: str) -> Instance:
        """Take an instance's profile and return the instance as it was. Credentials that it has read live on."""
        instance = self._by_association(caller, association_id)
        await self._put(replace(instance, profile=None))
        return instance

    async def replace(self, caller: Caller, association_id: str, reference: ProfileReference) -> Instance:
        """Give an instance another profile, by a new association."""
        profile = found_profile(self._context, caller, reference)
        instance = self._by_association(caller, association_id)
        return await self._put(replace(instance, profile=new_association(self._context, profile)))

    def describe(self, caller: Caller, association_ids: Sequence[str] | None = None) -> list[Instance]:
        """Return the instances that have these associations, or any."""
        if association_ids:
            return [self._by_association(caller, association_id) for association_id in association_ids]
        return self._associated(caller)

    def _associated(self, caller: Caller) -> list[Instance]:
        instances = scope(self._context.store.instances, caller)
        return [it for it in instances if it.profile is not None and it.state is not InstanceState.TERMINATED]

    def _by_association(self, caller: Caller, association_id: str) -> Instance:
        for instance in self._associated(caller):
            if instance.profile is not None and instance.profile.id == association_id:
                return instance
        raise no_such_association(association_id)

    async def _put(self, instance: Instance) -> Instance:
        async with self._context.store.transaction() as tx:
            tx.put(instance)
        return instance
