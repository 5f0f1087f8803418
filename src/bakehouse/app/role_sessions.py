"""Temporary credentials: of instances by their profiles, and of whoever asks STS."""

import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import Final

from bakehouse.app.context import AppContext
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.iam import InstanceCredentials, Role
from bakehouse.domain.instance import Instance
from bakehouse.domain.temporary_credentials import Session, issue, read

#: How long an instance's credentials live, and after how long it is shown new ones: well before the old ones end.
#: Source: EC2 User Guide, "Retrieve security credentials from instance metadata": at least five minutes before.
_INSTANCE_LIFE: Final = timedelta(hours=6)
_INSTANCE_TURN_S: Final = 3600

_ROLE_ARN: Final = re.compile(r"arn:aws:iam::(\d{12}):role/(?:[\x21-\x7e]+/)?([\w+=,.@-]+)", re.ASCII)


class RoleSessions:
    """Use cases on temporary credentials."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    def session(self, access_key_id: str, token: str) -> Session | None:
        """Return what a session token stands for; None where its account or role is gone, or it was never issued."""
        session = read(self._context.credentials_key, access_key_id, token)
        if session is None or session.account_id not in self._context.store.accounts:
            return None
        return session if session.role_id is None or session.role_id in self._context.store.iam_roles else None

    def caller(self, access_key_id: str, token: str | None, region: str) -> Caller | None:
        """Return who calls with an access key, and a session token if it is temporary; None if it is not valid."""
        if token is None:
            key = self._context.store.access_keys.get(access_key_id)
            return None if key is None else Caller(account_id=key.account_id, region=region, access_key_id=key.id)
        session = self.session(access_key_id, token)
        if session is None:
            return None
        return Caller(account_id=session.account_id, region=region, access_key_id=access_key_id, session=session)

    def of_instance(self, instance: Instance) -> InstanceCredentials | None:
        """Return the credentials of an instance at this time: the same for an hour. None without a role."""
        store = self._context.store
        profile = None if instance.profile is None else store.iam_instance_profiles.get(instance.profile.profile_id)
        role = None if profile is None or profile.role_id is None else store.iam_roles.get(profile.role_id)
        if profile is None or role is None or instance.profile is None:
            return None
        turn = int(self._context.now().timestamp()) // _INSTANCE_TURN_S
        began = datetime.fromtimestamp(turn * _INSTANCE_TURN_S, UTC)
        session = self._assumed(role, instance.id, began + _INSTANCE_LIFE, f"{instance.profile.id}/{turn}")
        updated_at = max(began, instance.profile.associated_at)
        return InstanceCredentials(profile=profile, role=role, updated_at=updated_at, session=session)

    def assume(self, caller: Caller, role_arn: str, session_name: str, duration_s: int) -> tuple[Session, Role]:
        """Return credentials for a role of the caller's account; its trust policy is not evaluated.

        Refuses every other role as one that the caller may not assume (AccessDenied), and a life longer than
        the role allows (ValidationError).
        """
        found = _ROLE_ARN.fullmatch(role_arn)
        if found is None:
            raise Ec2Error("ValidationError", f"{role_arn} is invalid")
        for role in self._context.store.iam_roles.by("name")[caller.account_id, found[2].lower()].values():
            if role.arn == role_arn:
                if duration_s > role.max_session_s:
                    raise Ec2Error(
                        "ValidationError",
                        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
                    )
                expires_at = self._context.now() + timedelta(seconds=duration_s)
                return self._assumed(role, session_name, expires_at, secrets.token_hex(8)), role
        raise Ec2Error(
            "AccessDenied", f"The caller is not authorized to perform: sts:AssumeRole on resource: {role_arn}", 403
        )

    def of_caller(self, caller: Caller, duration_s: int) -> Session:
        """Return credentials that stand for the caller's account itself.

        Refuses a caller who has temporary ones already (AccessDenied), as STS does.
        """
        if caller.session is not None:
            raise Ec2Error("AccessDenied", "Cannot call GetSessionToken with session credentials", 403)
        return issue(
            self._context.credentials_key,
            account_id=caller.account_id,
            arn=f"arn:aws:iam::{caller.account_id}:root",
            user_id=caller.account_id,
            role_id=None,
            expires_at=self._context.now() + timedelta(seconds=duration_s),
            salt=secrets.token_hex(8),
        )

    def _assumed(self, role: Role, session_name: str, expires_at: datetime, salt: str) -> Session:
        return issue(
            self._context.credentials_key,
            account_id=role.account_id,
            arn=f"arn:aws:sts::{role.account_id}:assumed-role/{role.name}/{session_name}",
            user_id=f"{role.id}:{session_name}",
            role_id=role.id,
            expires_at=expires_at,
            salt=salt,
        )
