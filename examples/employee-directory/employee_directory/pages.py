"""The routes: what each address shows and does."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from typing import Final

from employee_directory.metadata import InstanceMetadata
from employee_directory.photos import CONTENT_TYPES, NotAPhoto, PhotoTooLarge
from employee_directory.profile import LONGEST_BADGE, LONGEST_TEXT, MOST_BADGES, Profile
from employee_directory.store import Employee, NoSuchEmployee, Store
from employee_directory.templating import Html, join, render
from employee_directory.web import Application, HttpError, Request, Response, route, see_other

STYLE: Final = Path(__file__).parent / "style.css"

#: Colours for people without a photo, as the style sheet has them.
TONES: Final = 6

#: Field name, label, hint, what browsers may fill in.
FIELDS: Final = (
    ("name", "Name", "", "name"),
    ("job_title", "Job title", "", "organization-title"),
    ("location", "Location", "Optional, such as a city or an office.", "off"),
    ("email", "E-mail", "Optional.", "email"),
    ("badges", "Badges", "Optional: skills and such, separated by commas.", "off"),
)


def application(store: Store, metadata: InstanceMetadata) -> Application:
    """Return the WSGI application over a store."""
    pages = Pages(store, metadata)
    return Application(
        [
            route("GET", "/", pages.index),
            route("GET", "/employees/new", pages.new),
            route("POST", "/employees", pages.add),
            route("GET", "/employees/{id}/edit", pages.edit),
            route("POST", "/employees/{id}", pages.change),
            route("POST", "/employees/{id}/delete", pages.remove),
            route("GET", "/photos/{file}", pages.photo),
            route("GET", "/style.css", pages.style),
            route("GET", "/api/employees", pages.api_employees),
            route("GET", "/api/instance", pages.api_instance),
            route("GET", "/healthz", pages.healthz),
        ],
        pages.error,
    )


def initials(name: str) -> str:
    """Return the first letters of the first and last word."""
    words = name.split()
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()


class Pages:
    """The handlers. Each takes a request and what its path names."""

    def __init__(self, store: Store, metadata: InstanceMetadata) -> None:
        """Show a store, and in the footer the instance."""
        self._store = store
        self._metadata = metadata

    def index(self, request: Request) -> Response:
        """List everybody, or who has every word searched for anywhere in the profile."""
        query = request.query.get("q", "").strip()
        words = query.casefold().split()
        everybody = self._store.employees()
        found = [e for e in everybody if all(word in _searched(e.profile) for word in words)]
        if found:
            people = render("people", cards=join(map(_card, found)))
        else:
            people = render("nobody", text="Nobody matches." if everybody else "There is nobody here yet.")
        noun = "person" if len(everybody) == 1 else "people"
        count = f"{len(found)} of {len(everybody)} {noun}" if words else f"{len(everybody)} {noun}"
        return self._page("People", render("list", query=query, count=count, people=people))

    def new(self, request: Request) -> Response:
        """Show the empty form."""
        return self._form(request, "Add an employee", "/employees", Profile())

    def add(self, request: Request) -> Response:
        """Add what the form says."""
        profile = Profile.from_fields(request.form.fields)
        problems = self._try(profile, lambda: self._store.add(profile, request.form.files.get("photo")))
        return self._form(request, "Add an employee", "/employees", profile, problems) if problems else see_other("/")

    def edit(self, request: Request, number: int) -> Response:
        """Show the form with what is known."""
        profile = self._employee(number).profile
        return self._form(request, f"Edit {profile.name}", f"/employees/{number}", profile)

    def change(self, request: Request, number: int) -> Response:
        """Change a person to what the form says; without a new photo, the old one stays."""
        before = self._employee(number).profile
        profile = Profile.from_fields(request.form.fields)
        photo = request.form.files.get("photo")
        problems = self._try(profile, lambda: self._store.change(number, profile, photo))
        if problems:
            return self._form(request, f"Edit {before.name}", f"/employees/{number}", profile, problems)
        return see_other("/")

    def remove(self, _request: Request, number: int) -> Response:
        """Remove a person."""
        self._employee(number)
        self._store.remove(number)
        return see_other("/")

    def photo(self, _request: Request, name: str) -> Response:
        """Return a photo. It never changes under its name."""
        try:
            content = self._store.photos.read(name)
            content_type = CONTENT_TYPES[name.rpartition(".")[2]]
        except (FileNotFoundError, KeyError) as err:
            raise HttpError(HTTPStatus.NOT_FOUND, "There is no such photo.") from err
        return Response(content, content_type, headers={"Cache-Control": "private, max-age=31536000, immutable"})

    def style(self, _request: Request) -> Response:
        """Return the style sheet."""
        return Response(STYLE.read_bytes(), "text/css; charset=utf-8", headers={"Cache-Control": "max-age=300"})

    def api_employees(self, _request: Request) -> Response:
        """Return everybody as a JSON list, for programs."""
        return _json(
            [
                {"id": e.id, **asdict(e.profile), "photo": e.photo and f"/photos/{e.photo}"}
                for e in self._store.employees()
            ]
        )

    def api_instance(self, _request: Request) -> Response:
        """Return the instance that answers as a JSON object, or null outside EC2."""
        instance = self._metadata.read()
        return _json(instance and asdict(instance))

    def healthz(self, _request: Request) -> Response:
        """Return "ok" once the records can be read."""
        self._store.employees()
        return Response("ok", "text/plain; charset=utf-8")

    def error(self, status: HTTPStatus, message: str) -> Response:
        """Show what went wrong."""
        return self._page(status.phrase, render("error", title=status.phrase, message=message), status)

    def _employee(self, number: int) -> Employee:
        try:
            return self._store.employee(number)
        except NoSuchEmployee as err:
            raise HttpError(HTTPStatus.NOT_FOUND, "There is no such employee.") from err

    def _try(self, profile: Profile, save: Callable[[], object]) -> dict[str, str]:
        """Save if the profile is right, and return what is wrong with it or its photo."""
        problems = profile.problems()
        if not problems:
            try:
                save()
            except PhotoTooLarge:
                problems["photo"] = "Please choose a photo of up to 4 MiB."
            except NotAPhoto:
                problems["photo"] = "Please choose a PNG, JPEG or WebP file."
            except NoSuchEmployee as err:
                raise HttpError(HTTPStatus.NOT_FOUND, "There is no such employee.") from err
        return problems

    def _form(
        self,
        request: Request,
        title: str,
        action: str,
        profile: Profile,
        problems: Mapping[str, str] | None = None,
    ) -> Response:
        problems = problems or {}
        content = render(
            "form",
            title=title,
            action=action,
            csrf_token=request.csrf_token,
            fields=join(_field(profile, problems, *field) for field in FIELDS),
            photo_problem=_problem("photo", problems),
            delete=Html() if action == "/employees" else render("delete", action=action, csrf_token=request.csrf_token),
        )
        return self._page(title, content, HTTPStatus.BAD_REQUEST if problems else HTTPStatus.OK)

    def _page(self, title: str, content: Html, status: HTTPStatus = HTTPStatus.OK) -> Response:
        instance = self._metadata.read()
        served_by = render("instance", **asdict(instance)) if instance else Html("not on an instance")
        page = render("layout", title=title, content=content, served_by=served_by)
        return Response(page, status=status, headers={"Cache-Control": "no-store"})


def _json(value: object) -> Response:
    return Response(json.dumps(value, indent=1), "application/json", headers={"Cache-Control": "no-store"})


def _searched(profile: Profile) -> str:
    texts = (profile.name, profile.job_title, profile.location, profile.email, *profile.badges)
    return "\n".join(texts).casefold()


def _card(employee: Employee) -> Html:
    profile = employee.profile
    if employee.photo:
        picture = render("photo", source=f"/photos/{employee.photo}")
    else:
        picture = render("initials", tone=employee.id % TONES, initials=initials(profile.name))
    return render(
        "card",
        id=employee.id,
        picture=picture,
        name=profile.name,
        job_title=profile.job_title,
        location=render("location", location=profile.location) if profile.location else Html(),
        email=render("email", email=profile.email) if profile.email else Html(),
        badges=join(render("badge", badge=badge) for badge in profile.badges),
    )


def _field(profile: Profile, problems: Mapping[str, str], name: str, label: str, hint: str, autocomplete: str) -> Html:
    value = getattr(profile, name)
    return render(
        "field",
        name=name,
        label=label,
        hint=hint,
        autocomplete=autocomplete,
        type="email" if name == "email" else "text",
        longest=(LONGEST_BADGE + 2) * MOST_BADGES if name == "badges" else LONGEST_TEXT,
        value=", ".join(value) if isinstance(value, tuple) else value,
        required=Html("required") if name in {"name", "job_title"} else Html(),
        invalid="true" if name in problems else "false",
        problem=_problem(name, problems),
    )


def _problem(name: str, problems: Mapping[str, str]) -> Html:
    return render("problem", name=name, text=problems[name]) if name in problems else Html()
