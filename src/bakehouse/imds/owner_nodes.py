"""Nodes for what an instance's owner and the host's keeper arrange: roles, scheduled events, keys to log in with.

Source: EC2 User Guide, "Instance metadata categories", "Retrieve security credentials from instance metadata", "View
scheduled events"; the agent of EC2 Instance Connect.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from bakehouse.domain.instance_event import ScheduledEvent
from bakehouse.domain.instance_metadata import InstanceMetadata
from bakehouse.imds.nodes import Directory


def roles(metadata: InstanceMetadata) -> Directory | None:
    """Return `iam`: the profile, and the role's credentials at `security-credentials/ROLE`."""
    credentials = metadata.credentials
    if credentials is None:
        return None
    info = {
        "Code": "Success",
        "LastUpdated": _zulu(credentials.updated_at),
        "InstanceProfileArn": credentials.profile.arn,
        "InstanceProfileId": credentials.profile.id,
    }
    session = credentials.session
    secrets = {
        "Code": "Success",
        "LastUpdated": _zulu(credentials.updated_at),
        "Type": "AWS-HMAC",
        "AccessKeyId": session.access_key_id,
        "SecretAccessKey": session.secret,
        "Token": session.token,
        "Expiration": _zulu(session.expires_at),
    }
    return Directory({"info": _json(info), "security-credentials": Directory({credentials.role.name: _json(secrets)})})


def maintenance(metadata: InstanceMetadata) -> Directory:
    """Return `events/maintenance`: what is scheduled, and what of the last week is over."""
    active = [_event(event) for event in metadata.events if event.state == "active"]
    over = [_event(event) for event in metadata.events if event.state != "active"]
    return Directory({"history": _json(over), "scheduled": _json(active)})


def login_keys(metadata: InstanceMetadata) -> Directory | None:
    """Return `managed-ssh-keys` while there is a key. AWS signs these; nobody can in its place."""
    if not metadata.login_keys:
        return None
    return Directory({"active-keys": Directory({user: "".join(keys) for user, keys in metadata.login_keys.items()})})


def _event(event: ScheduledEvent) -> Mapping[str, str]:
    members = {
        "NotBefore": _words(event.not_before),
        "Code": event.code.value,
        "Description": event.description,
        "EventId": event.id,
        "State": event.state,
    }
    return members if event.not_after is None else members | {"NotAfter": _words(event.not_after)}


def _json(value: object) -> str:
    return json.dumps(value, indent=2, separators=(",", " : "))


def _zulu(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _words(moment: datetime) -> str:
    """Return a time as the examples of the User Guide have it: `21 Jan 2026 09:00:43 GMT`."""
    return f"{moment.astimezone(UTC):%d %b %Y %H:%M:%S} GMT"
