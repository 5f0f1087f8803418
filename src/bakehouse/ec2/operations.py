"""All operations: importing this module registers every handler."""

from bakehouse.ec2 import key_pairs, sts
from bakehouse.ec2.registry import OPERATIONS

__all__ = ["OPERATIONS", "key_pairs", "sts"]
