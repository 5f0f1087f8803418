"""What passes in a network of three tiers, and what does not: packet by packet, as a guest sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Check = Literal["page", "ssh", "ping", "name", "metadata", "lie"]


@dataclass(frozen=True)
class Case:
    """Whether a guest gets an answer."""

    sender: str
    check: Check
    receiver: str
    port: int
    passes: bool
    why: str

    def __str__(self) -> str:
        return f"{self.sender}-{self.check}-{self.receiver}-{self.port}-{'passes' if self.passes else 'does not'}"


#: From inside the guests. Each row is one packet that passes, or one that does not, and what decides.
CASES: Sequence[Case] = (
    Case("web", "page", "app", 8080, passes=True, why="the group of app names the group of web"),
    Case("web", "page", "app", 9090, passes=False, why="no group opens the port"),
    Case("web", "ping", "app", 0, passes=True, why="the group of app lets echo requests in"),
    Case("web", "name", "app", 8080, passes=True, why="private names are known in the VPC"),
    Case("web", "ssh", "app", 22, passes=True, why="the group of app names the group of web"),
    Case("web", "page", "data", 5432, passes=False, why="the group of data names only that of app"),
    Case("web", "ssh", "data", 22, passes=True, why="group and ACL both let it pass"),
    Case("web", "ping", "data", 0, passes=False, why="neither group nor ACL lets it pass"),
    Case("web", "page", "outside", 0, passes=True, why="a route to the internet and a public address"),
    Case("web", "metadata", "web", 0, passes=True, why="metadata is not filtered"),
    Case("web", "lie", "app", 0, passes=False, why="another's address is not listened to"),
    Case("web", "page", "app", 5432, passes=False, why="no group opens the port"),
    Case("web", "page", "data", 8080, passes=False, why="neither group nor ACL lets it pass"),
    Case("app", "page", "data", 5432, passes=True, why="group and ACL both let it pass"),
    Case("app", "page", "data", 5433, passes=False, why="a lower entry of the ACL denies what the group allows"),
    Case("app", "page", "data", 8080, passes=False, why="the ACL lets it pass, but no group"),
    Case("app", "ping", "data", 0, passes=False, why="the group lets it pass, but not the ACL"),
    Case("app", "ssh", "data", 22, passes=False, why="the ACL lets it pass from web alone"),
    Case("app", "page", "outside", 0, passes=True, why="the NAT gateway"),
    Case("app", "page", "web", 80, passes=True, why="web is open to everybody"),
    Case("app", "page", "web", 81, passes=False, why="no group opens the port"),
    Case("app", "name", "web", 80, passes=True, why="private names are known in the VPC"),
    Case("app", "metadata", "app", 0, passes=True, why="metadata is not filtered"),
    Case("app", "ssh", "web", 22, passes=True, why="web lets everybody ask for SSH"),
    Case("app", "ping", "web", 0, passes=False, why="the group of web lets no echo request in"),
    Case("app", "page", "web", 5432, passes=False, why="no group opens the port"),
    Case("app", "name", "data", 5432, passes=True, why="private names are known in the VPC"),
    Case("data", "page", "outside", 0, passes=False, why="the route table has the local route only"),
    Case("data", "page", "web", 80, passes=False, why="the ACL lets nothing out but answers"),
    Case("data", "page", "app", 8080, passes=False, why="neither group nor ACL lets it pass"),
    Case("data", "metadata", "data", 0, passes=True, why="network ACLs do not filter metadata"),
    Case("data", "ping", "web", 0, passes=False, why="neither group nor ACL lets it pass"),
    Case("data", "ssh", "app", 22, passes=False, why="neither group nor ACL lets it pass"),
)
