"""The instance profile that Packer makes for one build, where a template writes a policy for it.

Source: hashicorp/packer-plugin-amazon, builder/common/step_iam_instance_profile.go and step_run_source_instance.go.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError
from tests.clients.terraform.provider import pairs

TRUSTED: Final = (
    '{"Version": "2012-10-17","Statement": [{"Effect": "Allow",'
    '"Principal": {"Service": "ec2.amazonaws.com"},"Action": "sts:AssumeRole"}]}'
)
POLICY: Final = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["logs:*"], "Resource": ["*"]}]}
)


@contextmanager
def temporary_profile(iam: Any, ec2: Any, image_id: str, tags: dict[str, str]) -> Iterator[str]:
    """Make a profile with a role of the same name, see that EC2 knows it, and take all of it away afterwards."""
    name = "packer-68e5a9f2-1"
    iam.create_instance_profile(InstanceProfileName=name, Tags=pairs(tags))
    iam.get_waiter("instance_profile_exists").wait(InstanceProfileName=name)
    iam.create_role(
        RoleName=name,
        Description="Temporary role for Packer",
        AssumeRolePolicyDocument=TRUSTED,
        Tags=pairs(tags),
    )
    iam.get_waiter("role_exists").wait(RoleName=name)
    iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=POLICY)
    iam.add_role_to_instance_profile(RoleName=name, InstanceProfileName=name)
    _see_that_it_is_known(ec2, image_id, name)
    try:
        yield name
    finally:
        iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
        iam.delete_role_policy(PolicyName=name, RoleName=name)
        iam.delete_role(RoleName=name)
        iam.delete_instance_profile(InstanceProfileName=name)


def _see_that_it_is_known(ec2: Any, image_id: str, name: str) -> None:
    """Launch nothing, as the builder does until EC2 no longer says that there is no such profile."""
    with pytest.raises(ClientError) as told:
        ec2.run_instances(
            DryRun=True,
            IamInstanceProfile={"Name": name},
            ImageId=image_id,
            InstanceType="t3.nano",
            MaxCount=1,
            MinCount=1,
        )
    assert told.value.response["Error"]["Code"] == "DryRunOperation"
