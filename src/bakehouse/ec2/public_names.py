"""Public DNS names, which only VPCs with DNS host names have.

Source: VPC User Guide, "DNS attributes for your VPC": without enableDnsHostnames instances "do not receive public DNS
hostnames".
"""

from collections.abc import Mapping
from typing import Any


def without_public_names(view: Mapping[str, Any]) -> dict[str, Any]:
    """Return an instance's or interface's view with its public names empty, as EC2 shows them then."""
    shown = dict(view)
    if "PublicDnsName" in shown:
        shown["PublicDnsName"] = ""
    if shown.get("Association"):
        shown["Association"] = without_public_names(shown["Association"])
    for member in ("NetworkInterfaces", "PrivateIpAddresses"):
        if member in shown:
            shown[member] = [without_public_names(inner) for inner in shown[member]]
    return shown
