"""Roles and profiles for tests."""

import json
from typing import Any

TRUST = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]})
POLICY = json.dumps({"Version": "2012-10-17", "Statement": []})
NO_POLICY = f"arn:aws:iam::{'1' * 12}:policy/a"
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


def profile(iam: Any, name: str = "web") -> str:
    """Make a role and a profile of one name; return the profile's ARN."""
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    arn: str = iam.create_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Arn"]
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    return arn
