"""What commands that bring in images share: asking the server, and what they tell it to remember."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bakehouse.cli.home import control, credentials_of, with_home
from bakehouse.cli.next_steps import next_step
from bakehouse.cli.terminal import CommandFailed, progress_bar

#: Tag of an image: the user to log in as. `bakehouse ssh` reads it.
USER_TAG: Final = "bakehouse:user"
#: Tag of an image: what it was built of, or the checksum of what was pulled. One that is there is not imported again.
CONTENT_TAG: Final = "bakehouse:content"


def import_disk(home: Path, order: Mapping[str, Any]) -> str:
    """Have a file imported (the members of `ImportImage`), and return the new image's id."""
    credentials = credentials_of(home)
    body = {**order, "account_id": credentials["account_id"], "region": credentials["region"]}
    image_id: str = followed(home, "importing", "/images/import", body)["image_id"]
    return image_id


def find_by_content(home: Path, content: str) -> str | None:
    """Return the id of the account's own image that is marked as made of this content."""
    from bakehouse.cli.client import ec2_client

    wanted = [{"Name": f"tag:{CONTENT_TAG}", "Values": [content]}]
    found = ec2_client(home).describe_images(Owners=["self"], Filters=wanted)["Images"]
    return found[0]["ImageId"] if found else None


def followed(home: Path, words: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask for something long, show how far it is, and return how it ended."""
    with control(home) as server, progress_bar(words) as bar:
        for line in server.post_lines(path, body):
            if "fraction" in line:
                bar.move(line["fraction"])
            elif "error" in line:
                raise CommandFailed(f"{line['message']} ({line['error']})", next_step(line["error"]))
            else:
                return line
    log = with_home("bakehouse logs", home)
    raise CommandFailed(f"the server ended {words} without a result", f"its log: `{log}`")
