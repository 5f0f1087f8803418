"""What the directory knows about a person, and the rules for it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from unicodedata import category

#: In characters. Long enough for any real name, short enough for a card.
LONGEST_TEXT: Final = 100
MOST_BADGES: Final = 6
LONGEST_BADGE: Final = 24

#: Something before and after one "@". Whether an address works, only a mail sent to it can tell.
EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")


def one_line(text: str) -> str:
    """Return the text without control characters and with single spaces, as it is stored and shown."""
    spaced = " ".join(text.split())
    return "".join(character for character in spaced if category(character) != "Cc").strip()


@dataclass(frozen=True, slots=True)
class Profile:
    """A person as the form describes them. Empty text means not given; `problems` tells what must be."""

    name: str = ""
    job_title: str = ""
    location: str = ""
    email: str = ""
    badges: tuple[str, ...] = ()

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> "Profile":
        """Read a submitted form; badges come as one text, separated by commas."""
        named = {name: one_line(fields.get(name, "")) for name in ("name", "job_title", "location", "email")}
        badges = (one_line(badge) for badge in fields.get("badges", "").split(","))
        return cls(**named, badges=tuple(dict.fromkeys(filter(None, badges))))

    def problems(self) -> dict[str, str]:
        """Return what is wrong, by field name, as sentences for who fills the form in."""
        found = {
            name: f"Please keep this to {LONGEST_TEXT} characters."
            for name in ("name", "job_title", "location", "email")
            if len(getattr(self, name)) > LONGEST_TEXT
        }
        if not self.name:
            found["name"] = "Please enter a name."
        if not self.job_title:
            found["job_title"] = "Please enter a job title."
        if self.email and not EMAIL.fullmatch(self.email):
            found["email"] = "Please enter an address like ada@example.com, or leave it empty."
        if len(self.badges) > MOST_BADGES or any(len(badge) > LONGEST_BADGE for badge in self.badges):
            found["badges"] = f"Please keep to {MOST_BADGES} badges of up to {LONGEST_BADGE} characters."
        return found
