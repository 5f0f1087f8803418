"""The notice of a spot instance's interruption, there from the moment that it is given.

Source: EC2 User Guide, "Spot Instance interruption notices": forms of `instance-action` and `termination-time`.
"""

import json
from datetime import UTC

from bakehouse.domain.spot_request import Interruption


def spot_nodes(interruption: Interruption) -> dict[str, str]:
    """Return what is in `spot/`: what is done and when; `termination-time` is for those that are terminated alone."""
    at = f"{interruption.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    nodes = {"instance-action": json.dumps({"action": interruption.action, "time": at})}
    if interruption.action == "terminate":
        nodes["termination-time"] = at
    return nodes
