"""Every saga by its name: what the engine knows how to resume."""

from collections.abc import Mapping
from typing import Any, Final

from bakehouse.sagas.engine import Saga
from bakehouse.sagas.reboot_instance import REBOOT_INSTANCE
from bakehouse.sagas.run_instance import RUN_INSTANCE
from bakehouse.sagas.start_instance import START_INSTANCE
from bakehouse.sagas.stop_instance import STOP_INSTANCE
from bakehouse.sagas.terminate_instance import TERMINATE_INSTANCE

_ALL: Final[tuple[Saga[Any], ...]] = (
    REBOOT_INSTANCE,
    RUN_INSTANCE,
    START_INSTANCE,
    STOP_INSTANCE,
    TERMINATE_INSTANCE,
)

SAGAS: Final[Mapping[str, Saga[Any]]] = {saga.name: saga for saga in _ALL}
