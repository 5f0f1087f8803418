"""A guest reads its role's credentials, scheduled events and keys to log in with, in AWS's forms."""

import json
from dataclasses import replace
from datetime import timedelta

from tests.unit.imds.samples import ACCOUNT, NOW, metadata
from tests.unit.imds.test_tree import crawl, listing_at, text_at

from bakehouse.domain.iam import InstanceCredentials, InstanceProfile, Role
from bakehouse.domain.instance_event import EventCode, new_event
from bakehouse.domain.temporary_credentials import issue

ROLE = Role(id="AROA1", account_id=ACCOUNT, name="web", path="/", created_at=NOW, trust_policy="{}")
PROFILE = InstanceProfile(id="AIPA1", account_id=ACCOUNT, name="web", path="/", created_at=NOW, role_id=ROLE.id)
SESSION = issue(
    b"key",
    account_id=ACCOUNT,
    arn="arn",
    user_id="user",
    role_id=ROLE.id,
    expires_at=NOW + timedelta(hours=6),
    salt="",
)
EVENT = new_event("instance-event-0123456789abcdef0", EventCode.SYSTEM_REBOOT, NOW)
GUEST = replace(
    metadata(),
    credentials=InstanceCredentials(profile=PROFILE, role=ROLE, updated_at=NOW, session=SESSION),
    events=(EVENT, replace(EVENT, id="instance-event-0123456789abcdef1", state="canceled", ended_at=NOW)),
    login_keys={"admin": ("#Caller=x\nssh-ed25519 AAAA\n",)},
)


def test_each_listed_name_can_be_read() -> None:
    assert [path for path, node in crawl(GUEST, "latest/meta-data/") if node is None] == []


def test_the_roles_credentials_are_at_its_name() -> None:
    assert listing_at(GUEST, "latest/meta-data/iam/security-credentials/") == ["web"]
    assert json.loads(text_at(GUEST, "latest/meta-data/iam/security-credentials/web")) == {
        "Code": "Success",
        "LastUpdated": "2026-11-23T06:30:00Z",
        "Type": "AWS-HMAC",
        "AccessKeyId": SESSION.access_key_id,
        "SecretAccessKey": SESSION.secret,
        "Token": SESSION.token,
        "Expiration": "2026-11-23T12:30:00Z",
    }


def test_the_profile_is_told() -> None:
    assert json.loads(text_at(GUEST, "latest/meta-data/iam/info")) == {
        "Code": "Success",
        "LastUpdated": "2026-11-23T06:30:00Z",
        "InstanceProfileArn": PROFILE.arn,
        "InstanceProfileId": PROFILE.id,
    }


def test_events_are_told_as_the_user_guide_shows_them() -> None:
    assert json.loads(text_at(GUEST, "latest/meta-data/events/maintenance/scheduled")) == [
        {
            "NotBefore": "23 Nov 2026 06:30:00 GMT",
            "Code": "system-reboot",
            "Description": "The host is scheduled for a reboot",
            "EventId": EVENT.id,
            "NotAfter": "23 Nov 2026 06:45:00 GMT",
            "State": "active",
        }
    ]
    (over,) = json.loads(text_at(GUEST, "latest/meta-data/events/maintenance/history"))
    assert (over["State"], over["Description"]) == ("canceled", "[Canceled] The host is scheduled for a reboot")


def test_keys_to_log_in_with_are_at_their_user_with_and_without_a_slash() -> None:
    for path in ("admin", "admin/"):
        text = text_at(GUEST, f"latest/meta-data/managed-ssh-keys/active-keys/{path}")
        assert text == "#Caller=x\nssh-ed25519 AAAA\n"
