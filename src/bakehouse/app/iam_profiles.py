"""Instance profiles: what hands roles to instances."""

from collections.abc import Mapping
from dataclasses import replace

from bakehouse.app.context import AppContext
from bakehouse.app.iam_roles import IamRoles
from bakehouse.domain.caller import Caller
from bakehouse.domain.iam import (
    InstanceProfile,
    Role,
    check_name,
    check_role_tags,
    delete_conflict,
    exists_already,
    new_unique_id,
    no_such,
    no_such_entity,
    quota_exceeded,
)


class IamProfiles:
    """Use cases on instance profiles."""

    def __init__(self, context: AppContext, roles: IamRoles) -> None:
        """Work on these records."""
        self._context = context
        self._roles = roles

    async def create(self, caller: Caller, name: str, *, path: str = "/", tags: Mapping[str, str]) -> InstanceProfile:
        """Make an instance profile without a role. Refuses a name that is taken (EntityAlreadyExists)."""
        check_name("instance-profile", name, path)
        check_role_tags(dict(tags))
        profile = InstanceProfile(
            id=new_unique_id("instance-profile"),
            account_id=caller.account_id,
            name=name,
            path=path,
            created_at=self._context.now().replace(microsecond=0),
            tags=dict(tags),
        )
        async with self._context.store.transaction() as tx:
            if self._context.store.iam_instance_profiles.by("name")[caller.account_id, name.lower()]:
                raise exists_already("instance-profile", name)
            tx.put(profile)
        return profile

    def get(self, caller: Caller, name: str) -> InstanceProfile:
        """Return an instance profile of the caller's, or refuse: NoSuchEntity."""
        for profile in self._context.store.iam_instance_profiles.by("name")[caller.account_id, name.lower()].values():
            return profile
        raise no_such("instance-profile", name)

    def all_of(self, caller: Caller, path_prefix: str = "/") -> list[InstanceProfile]:
        """Return the caller's instance profiles by name."""
        profiles = self._context.store.iam_instance_profiles.by("account")[caller.account_id].values()
        return sorted((it for it in profiles if it.path.startswith(path_prefix)), key=lambda it: it.name)

    def role_of(self, profile: InstanceProfile) -> Role | None:
        """Return the role that an instance profile hands out."""
        return None if profile.role_id is None else self._context.store.iam_roles.get(profile.role_id)

    async def delete(self, caller: Caller, name: str) -> None:
        """Remove an instance profile. Refuses one with a role (DeleteConflict).

        Instances keep their association, and get no credentials by it: IAM does not look after them either.
        """
        async with self._context.store.transaction() as tx:
            profile = self.get(caller, name)
            if profile.role_id is not None:
                raise delete_conflict("entity, must remove roles from instance profile first.")
            tx.delete(profile)

    async def add_role(self, caller: Caller, name: str, role_name: str) -> None:
        """Let an instance profile hand out a role. Refuses a second one (LimitExceeded)."""
        profile, role = self.get(caller, name), self._roles.get(caller, role_name)
        if profile.role_id is not None:
            raise quota_exceeded("InstanceSessionsPerInstanceProfile", 1)
        await self._put(replace(profile, role_id=role.id))

    async def remove_role(self, caller: Caller, name: str, role_name: str) -> None:
        """Let an instance profile hand out nothing, or refuse: NoSuchEntity."""
        profile, role = self.get(caller, name), self._roles.get(caller, role_name)
        if profile.role_id != role.id:
            raise no_such_entity(f"The role with name {role_name} is not in the instance profile {name}.")
        await self._put(replace(profile, role_id=None))

    async def tag(self, caller: Caller, name: str, tags: Mapping[str, str], *, remove: frozenset[str]) -> None:
        """Write tags, and remove those with these keys."""
        profile = self.get(caller, name)
        merged = {key: value for key, value in {**profile.tags, **tags}.items() if key not in remove}
        check_role_tags(merged)
        await self._put(replace(profile, tags=merged))

    async def _put(self, profile: InstanceProfile) -> None:
        async with self._context.store.transaction() as tx:
            tx.put(profile)
