"""Values that fit a shape of botocore's model: the least one, and one with everything in it."""

import random
import string
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

#: Text for patterns that do not take digits. The values of a shape without a pattern are arbitrary.
MATCHING = {
    "AccountID": "123456789012",
    "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/0",
    "RuleArn": "arn:aws:rbin:us-east-1:123456789012:rule/0123456789a",
    "RuleIdentifier": "0123456789a",
    "SnapshotId": "snap-0123456789abcdef0",
    "AllowedInstanceType": "t3.*",
    "ComponentAccount": "123456789012",
    "ComponentRegion": "eu-west-1",
    "ExcludedInstanceType": "m5.large",
    "FlexCostAllocationCidrLabel": "a-label",
    "FlexCostAllocationPolicyAssociationId": "fcapassoc-0123456789abcdef0",
    "FlexCostAllocationPolicyId": "fcap-0123456789abcdef0",
    "IpAddress": "10.0.0.1",
    "LaunchTemplateName": "a-template",
    "OutpostArn": "arn:aws:outposts:us-east-1:123456789012:outpost/op-0123456789abcdef0",
    "ParameterStringFilterKey": "tag:a",
    "PlacementGroupArn": "arn:aws:ec2:us-east-1:123456789012:placement-group/a-group",
    "SecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-secret",
}

#: Markup, blanks, what a query string encodes, and letters of one to four bytes.
ALPHABET = string.ascii_letters + string.digits + " \t\n\r&<>\"'%+=;/?#~-_.*äß漢\N{PILE OF POO}"

EPOCH = datetime(2026, 11, 23, tzinfo=UTC)


class Values:
    """Makes values from a seed, so that a failure can be repeated."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def everything(self, shape: Any, within: Collection[str] = ()) -> Any:
        """All members given, lists of two; a shape inside itself ends there."""
        match shape.type_name:
            case "structure":
                return {
                    name: self.everything(member, {*within, shape.name})
                    for name, member in shape.members.items()
                    if member.name not in within
                }
            case "list":
                count = min(2, shape.metadata.get("max", 2))
                return [self.everything(shape.member, within) for _ in range(count)]
            case "map":
                return {self.scalar(shape.key): self.everything(shape.value, within)}
            case _:
                return self.scalar(shape)

    def least(self, shape: Any, *, nested: bool = False) -> Any:
        """Required members only, lists of one; a structure inside has one member at least, or it would not be sent."""
        match shape.type_name:
            case "structure":
                names = shape.required_members or (list(shape.members)[:1] if nested else [])
                return {name: self.least(shape.members[name], nested=True) for name in names}
            case "list":
                return [self.least(shape.member, nested=True)]
            case "map":
                return {self.scalar(shape.key): self.least(shape.value, nested=True)}
            case _:
                return self.scalar(shape)

    def scalar(self, shape: Any) -> Any:
        match shape.type_name:
            case "string":
                return self._text(shape)
            case "integer" | "long":
                bits = 31 if shape.type_name == "integer" else 63
                least = shape.metadata.get("min", -(2**bits))
                return self._random.randint(least, shape.metadata.get("max", 2**bits - 1))
            case "float" | "double":
                return self._random.uniform(shape.metadata.get("min", -1e6), shape.metadata.get("max", 1e6))
            case "boolean":
                return self._random.random() < 0.5
            case "timestamp":
                return EPOCH + timedelta(seconds=self._random.randint(-(10**9), 10**9))
            case "blob":
                return self._random.randbytes(self._random.randint(1, 40))
            case other:
                raise AssertionError(f"a new type in the model: {other}")

    def _text(self, shape: Any) -> str:
        if shape.enum:
            return str(self._random.choice(shape.enum))
        if "pattern" in shape.metadata:
            return MATCHING.get(shape.name, "1" * int(shape.metadata.get("min", 1)))
        least = max(1, shape.metadata.get("min", 1))
        length = self._random.randint(least, min(shape.metadata.get("max", 24), max(least, 24)))
        return "".join(self._random.choices(ALPHABET, k=length))
