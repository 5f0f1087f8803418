"""Letting the machine of an instance that stops sleep instead of shutting its guest down."""

from dataclasses import replace
from typing import Final

import structlog

from bakehouse.ports.hypervisor import MonitorLost, NotHibernated
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.machine import volumes_of

_log: Final = structlog.get_logger(__name__)


async def hibernate_machine(ctx: SagaContext, instance_id: str, *, asked: bool) -> bool:
    """Save the machine's memory, end it and write that down, if it is `asked` for; tell whether it sleeps.

    The memory is encrypted by the root volume's key, if that is encrypted. A machine that sleeps already stays so,
    asked for or not: of a stop that was cut short, the rest is done by one that knows nothing of it.
    """
    instance = ctx.store.instances[instance_id]
    if instance.hibernated:
        return True
    if not asked:
        return False
    root = volumes_of(ctx.store, instance)[0]
    key = (await ctx.volumes.connect(root.id)).key
    try:
        saved = await ctx.hypervisor.hibernate(instance_id, key)
    except (NotHibernated, MonitorLost) as err:
        _log.warning("an instance cannot hibernate; it shuts down", instance=instance_id, error=str(err))
        return False
    if saved:
        async with ctx.store.transaction() as tx:
            tx.put(replace(ctx.store.instances[instance_id], hibernated=True))
    return saved
