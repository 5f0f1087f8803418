"""A security group's rules, into the firewall.

The record changes first, in the transaction that enlists the saga; each saga has one step, which writes what the record
says by then, so that two changes in any order end at the later record. A crash between leaves the saga in the journal.
A group of a VPC without a segment on this host needs nothing: `ensure_segment` applies every group.

There is no way back from a rule that was revoked, so what undoes it is to try again: where the fabric fails, the saga
stays in the journal.
"""

from dataclasses import dataclass

from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step
from bakehouse.sagas.segment import group_spec


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroupChange:
    """The group that changed."""

    vpc_id: str
    group_id: str


async def apply_group(ctx: SagaContext, change: SecurityGroupChange) -> None:
    """Bring the firewall to the record, or remove the group when there is no record any more."""
    if change.vpc_id not in ctx.segments:
        return
    group = ctx.store.security_groups.get(change.group_id)
    if group is None:
        await ctx.network.delete_group(change.vpc_id, change.group_id)
    else:
        await ctx.network.apply_group(group_spec(ctx.store, group))


APPLY_SECURITY_GROUP = Saga(
    name="apply_security_group",
    params=SecurityGroupChange,
    steps=(Step("apply_group", do=apply_group, undo=apply_group),),
)
