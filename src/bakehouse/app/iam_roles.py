"""Roles: what an instance may act as. Their policies are kept and shown; none is evaluated."""

from collections.abc import Mapping
from dataclasses import replace

from bakehouse.app.context import AppContext
from bakehouse.domain.caller import Caller
from bakehouse.domain.iam import (
    ATTACHED_MAX,
    InstanceProfile,
    Role,
    check_document,
    check_name,
    check_role_tags,
    delete_conflict,
    exists_already,
    is_policy_of_aws,
    new_unique_id,
    no_such,
    no_such_entity,
    quota_exceeded,
)


class IamRoles:
    """Use cases on roles."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def create(
        self,
        caller: Caller,
        name: str,
        trust_policy: str,
        *,
        path: str = "/",
        description: str | None = None,
        max_session_s: int = 3600,
        tags: Mapping[str, str],
    ) -> Role:
        """Make a role. Refuses a name that is taken, whatever its case (EntityAlreadyExists)."""
        check_name("role", name, path)
        check_document(trust_policy)
        check_role_tags(dict(tags))
        role = Role(
            id=new_unique_id("role"),
            account_id=caller.account_id,
            name=name,
            path=path,
            created_at=self._context.now().replace(microsecond=0),
            trust_policy=trust_policy,
            description=description,
            max_session_s=max_session_s,
            tags=dict(tags),
        )
        async with self._context.store.transaction() as tx:
            if self._context.store.iam_roles.by("name")[caller.account_id, name.lower()]:
                raise exists_already("role", name)
            tx.put(role)
        return role

    def get(self, caller: Caller, name: str) -> Role:
        """Return a role of the caller's, or refuse: NoSuchEntity."""
        for role in self._context.store.iam_roles.by("name")[caller.account_id, name.lower()].values():
            return role
        raise no_such("role", name)

    def all_of(self, caller: Caller, path_prefix: str = "/") -> list[Role]:
        """Return the caller's roles by name."""
        roles = self._context.store.iam_roles.by("account")[caller.account_id].values()
        return sorted((it for it in roles if it.path.startswith(path_prefix)), key=lambda it: it.name)

    def profiles_of(self, caller: Caller, name: str) -> list[InstanceProfile]:
        """Return the instance profiles that hand out a role."""
        role = self.get(caller, name)
        return list(self._context.store.iam_instance_profiles.by("role")[role.id].values())

    async def update(
        self, caller: Caller, name: str, *, description: str | None = None, max_session_s: int | None = None
    ) -> None:
        """Change what is told of a role."""
        role = self.get(caller, name)
        description = role.description if description is None else description
        max_session_s = role.max_session_s if max_session_s is None else max_session_s
        await self._put(replace(role, description=description, max_session_s=max_session_s))

    async def trust(self, caller: Caller, name: str, document: str) -> None:
        """Change who may assume a role."""
        check_document(document)
        await self._put(replace(self.get(caller, name), trust_policy=document))

    async def delete(self, caller: Caller, name: str) -> None:
        """Remove a role. Credentials for it are no longer good.

        Refuses one that has policies, or that an instance profile hands out (DeleteConflict).
        """
        async with self._context.store.transaction() as tx:
            role = self.get(caller, name)
            if self._context.store.iam_instance_profiles.by("role")[role.id]:
                raise delete_conflict("entity, must remove roles from instance profile first.")
            if role.inline_policies:
                raise delete_conflict("entity, must delete policies first.")
            if role.attached_policies:
                raise delete_conflict("entity, must detach all policies first.")
            tx.delete(role)

    async def put_policy(self, caller: Caller, name: str, policy_name: str, document: str) -> None:
        """Write a policy into a role, in place of one of its name."""
        check_name("policy", policy_name)
        check_document(document)
        role = self.get(caller, name)
        await self._put(replace(role, inline_policies={**role.inline_policies, policy_name: document}))

    def policy(self, caller: Caller, name: str, policy_name: str) -> str:
        """Return the document of a policy in a role, or refuse: NoSuchEntity."""
        document = self.get(caller, name).inline_policies.get(policy_name)
        if document is None:
            raise no_such_entity(f"The role policy with name {policy_name} cannot be found.")
        return document

    async def delete_policy(self, caller: Caller, name: str, policy_name: str) -> None:
        """Remove a policy from a role."""
        self.policy(caller, name, policy_name)
        role = self.get(caller, name)
        kept = {key: value for key, value in role.inline_policies.items() if key != policy_name}
        await self._put(replace(role, inline_policies=kept))

    async def attach_policy(self, caller: Caller, name: str, arn: str) -> None:
        """Attach a policy; attached already: nothing happens.

        Every policy of AWS is taken for one that exists. Refuses one that the account has not (NoSuchEntity).
        """
        role = self.get(caller, name)
        own = self._context.store.iam_policies.by("account")[caller.account_id].values()
        if not is_policy_of_aws(arn) and all(policy.arn != arn for policy in own):
            raise no_such_entity(f"Policy {arn} does not exist or is not attachable.")
        if arn in role.attached_policies:
            return
        if len(role.attached_policies) >= ATTACHED_MAX:
            raise quota_exceeded("PoliciesPerRole", ATTACHED_MAX)
        await self._put(replace(role, attached_policies=(*role.attached_policies, arn)))

    async def detach_policy(self, caller: Caller, name: str, arn: str) -> None:
        """Detach a policy, or refuse: NoSuchEntity."""
        role = self.get(caller, name)
        if arn not in role.attached_policies:
            raise no_such_entity(f"Policy {arn} was not found.")
        await self._put(replace(role, attached_policies=tuple(it for it in role.attached_policies if it != arn)))

    async def tag(self, caller: Caller, name: str, tags: Mapping[str, str], *, remove: frozenset[str]) -> None:
        """Write tags, and remove those with these keys."""
        role = self.get(caller, name)
        merged = {key: value for key, value in {**role.tags, **tags}.items() if key not in remove}
        check_role_tags(merged)
        await self._put(replace(role, tags=merged))

    async def _put(self, role: Role) -> None:
        async with self._context.store.transaction() as tx:
            tx.put(role)
