"""All operations: importing this module registers every handler."""

from bakehouse.ec2 import sts
from bakehouse.ec2.registry import OPERATIONS

__all__ = ["OPERATIONS", "sts"]
