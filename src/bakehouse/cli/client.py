"""The command line's own EC2 client: botocore, as any user of the API."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
import botocore.session

from bakehouse.cli.home import credentials_of, not_running
from bakehouse.cli.next_steps import next_step
from bakehouse.cli.terminal import CommandFailed


def ec2_client(home: Path) -> Any:  # noqa: ANN401 - botocore makes its clients at run time
    """Return an EC2 client of a home's first account. Its refusals come out as CommandFailed."""
    credentials = credentials_of(home)
    session = botocore.session.Session()
    client = session.create_client(
        "ec2",
        region_name=credentials["region"],
        endpoint_url=credentials["endpoint_url"],
        aws_access_key_id=credentials["access_key_id"],
        aws_secret_access_key=credentials["secret_access_key"],
        config=botocore.config.Config(retries={"max_attempts": 0}, read_timeout=300),
    )
    return _Refusing(client, home)


def serial_console_url(credentials: Mapping[str, str], instance_id: str, lifetime_s: int) -> str:
    """Return a URL that opens one instance's serial console in a browser for so many seconds from now."""
    key = botocore.credentials.Credentials(credentials["access_key_id"], credentials["secret_access_key"])
    request = botocore.awsrequest.AWSRequest("GET", f"{credentials['endpoint_url']}/serial-console/{instance_id}")
    botocore.auth.SigV4QueryAuth(key, "ec2", credentials["region"], expires=lifetime_s).add_auth(request)
    return str(request.url)


class _Refusing:
    """A client whose errors are for people."""

    def __init__(self, client: Any, home: Path) -> None:  # noqa: ANN401 - see above
        self._client = client
        self._home = home

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any of the client's methods
        method = getattr(self._client, name)

        def call(**arguments: Any) -> Any:  # noqa: ANN401 - any operation's
            try:
                return method(**arguments)
            except botocore.exceptions.ClientError as err:
                error = err.response["Error"]
                raise CommandFailed(f"{error['Message']} ({error['Code']})", next_step(error["Code"])) from err
            except botocore.exceptions.EndpointConnectionError as err:
                raise not_running(self._home) from err

        return call
