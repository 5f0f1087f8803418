"""An account's own managed policies: kept and shown with their one version; none is evaluated."""

from collections.abc import Mapping

from bakehouse.app.context import AppContext
from bakehouse.domain.caller import Caller
from bakehouse.domain.iam import (
    ManagedPolicy,
    check_document,
    check_name,
    check_role_tags,
    delete_conflict,
    exists_already,
    is_policy_of_aws,
    new_unique_id,
    no_such,
)


class IamPolicies:
    """Use cases on managed policies."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def create(
        self,
        caller: Caller,
        name: str,
        document: str,
        *,
        path: str = "/",
        description: str | None = None,
        tags: Mapping[str, str],
    ) -> ManagedPolicy:
        """Make a policy. Refuses a name that is taken (EntityAlreadyExists)."""
        check_name("policy", name, path)
        check_document(document)
        check_role_tags(dict(tags))
        policy = ManagedPolicy(
            id=new_unique_id("policy"),
            account_id=caller.account_id,
            name=name,
            path=path,
            created_at=self._context.now().replace(microsecond=0),
            document=document,
            description=description,
            tags=dict(tags),
        )
        async with self._context.store.transaction() as tx:
            if self._context.store.iam_policies.by("name")[caller.account_id, name.lower()]:
                raise exists_already("policy", name)
            tx.put(policy)
        return policy

    def get(self, caller: Caller, arn: str) -> ManagedPolicy:
        """Return a policy of the caller's, or refuse: NoSuchEntity. What AWS's own policies say is not known here."""
        is_policy_of_aws(arn)
        for policy in self._context.store.iam_policies.by("account")[caller.account_id].values():
            if policy.arn == arn:
                return policy
        raise no_such("policy", arn)

    def attachments(self, policy: ManagedPolicy) -> int:
        """Return how many roles a policy is attached to."""
        roles = self._context.store.iam_roles.by("account")[policy.account_id].values()
        return sum(policy.arn in role.attached_policies for role in roles)

    async def delete(self, caller: Caller, arn: str) -> None:
        """Remove a policy. Refuses one that is attached (DeleteConflict)."""
        async with self._context.store.transaction() as tx:
            policy = self.get(caller, arn)
            if self.attachments(policy):
                raise delete_conflict("a policy attached to entities.")
            tx.delete(policy)
