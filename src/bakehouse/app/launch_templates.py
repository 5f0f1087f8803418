"""Launch templates and their versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from bakehouse.app.context import AppContext, scope
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import invalid_combination, invalid_parameter, malformed_id, missing_parameter
from bakehouse.domain.ids import is_well_formed, new_id
from bakehouse.domain.launch_template import (
    DEFAULT,
    LATEST,
    LaunchTemplate,
    LaunchTemplateVersion,
    TemplateChoice,
    check_name,
    inherited,
    number_of,
    plain_number,
    template_name_not_found,
    template_name_taken,
    template_not_found,
    version_id,
    version_not_found,
)
from bakehouse.domain.tags import check_tags

#: Source: EC2 API Reference, DeleteLaunchTemplateVersions.
_DELETED_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateVersion:
    """A version with the template that it is of."""

    template: LaunchTemplate
    version: LaunchTemplateVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionsQuestion:
    """Which versions to describe: of one template, or of all (`$Latest` and `$Default` alone)."""

    template: TemplateChoice | None = None
    selectors: tuple[str, ...] = ()
    first: str | None = None
    last: str | None = None


class LaunchTemplates:
    """Use cases on launch templates."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def create(
        self,
        caller: Caller,
        name: str,
        data: Mapping[str, Any],
        *,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> LaunchTemplate:
        """Make a template with its version 1.

        Refuses a malformed name, and one that the account has in the region already:
        InvalidLaunchTemplateName.MalformedException, InvalidLaunchTemplateName.AlreadyExistsException.
        """
        check_name(name)
        check_tags(tags or {})
        if self._named(caller, name) is not None:
            raise template_name_taken()
        now = self._context.now().replace(microsecond=0)
        template = LaunchTemplate(
            id=new_id("launch-template"),
            account_id=caller.account_id,
            region=caller.region,
            name=name,
            created_at=now,
            created_by=_arn(caller),
            tags=dict(tags or {}),
        )
        async with self._context.store.transaction() as tx:
            tx.put(template)
            tx.put(self._version(caller, template.id, 1, description, data))
            tx.remember(caller, template.id, now.timestamp())
        return template

    async def add_version(
        self,
        caller: Caller,
        choice: TemplateChoice,
        data: Mapping[str, Any],
        *,
        source: str | None = None,
        description: str | None = None,
    ) -> TemplateVersion:
        """Make the next version, over what its source has if there is one: a member replaces the source's whole."""
        template = self.chosen(caller, choice)
        if source is not None:
            data = {**inherited(self._existing(template, number_of(template, source)).data), **data}
        number = template.last_number + 1
        version = self._version(caller, template.id, number, description, data)
        changed = replace(template, latest_version=number, last_number=number)
        async with self._context.store.transaction() as tx:
            tx.put(changed)
            tx.put(version)
            tx.remember(caller, version.id, version.created_at.timestamp())
        return TemplateVersion(template=changed, version=version)

    async def delete(self, caller: Caller, choice: TemplateChoice) -> LaunchTemplate:
        """Remove a template with all its versions. Instances launched from it stay as they are."""
        template = self.chosen(caller, choice)
        async with self._context.store.transaction() as tx:
            for version in self._versions(template):
                tx.delete(version)
            tx.delete(template)
        return template

    async def delete_versions(
        self, caller: Caller, choice: TemplateChoice, numbers: Sequence[str]
    ) -> tuple[LaunchTemplate, dict[int, str | None]]:
        """Remove versions but the default one; return for each number None, or why it was not removed.

        The reasons are EC2's codes of them: `launchTemplateVersionDoesNotExist`, `unexpectedError` for the default.
        """
        if len(numbers) > _DELETED_AT_ONCE:
            raise invalid_parameter(f"You can delete up to {_DELETED_AT_ONCE} launch template versions in one request.")
        template = self.chosen(caller, choice)
        wanted = list(dict.fromkeys(number_of(template, number) for number in numbers))
        there = {version.number: version for version in self._versions(template)}
        outcomes = {number: _hindrance(template, number, there) for number in wanted}
        gone = [number for number, hindrance in outcomes.items() if hindrance is None]
        async with self._context.store.transaction() as tx:
            for number in gone:
                tx.delete(there.pop(number))
            tx.put(replace(template, latest_version=max(there)))
        return template, outcomes

    async def set_default(self, caller: Caller, choice: TemplateChoice, selector: str | None) -> LaunchTemplate:
        """Choose the version that launches take when they name none. Without a selector nothing changes."""
        template = self.chosen(caller, choice)
        number = template.default_version if selector is None else number_of(template, selector)
        changed = replace(template, default_version=self._existing(template, number).number)
        async with self._context.store.transaction() as tx:
            tx.put(changed)
            tx.remember(caller, template.id, self._context.now().timestamp())
        return changed

    def describe(
        self, caller: Caller, template_ids: Sequence[str] | None = None, names: Sequence[str] | None = None
    ) -> list[LaunchTemplate]:
        """Return the caller's templates, all or those with these ids and names; refuse what is not there."""
        if not template_ids and not names:
            return scope(self._context.store.launch_templates, caller)
        choices = [TemplateChoice(template_id=it) for it in template_ids or ()]
        choices += [TemplateChoice(name=it) for it in names or ()]
        return list({it.id: it for it in (self.chosen(caller, choice) for choice in choices)}.values())

    def versions(self, caller: Caller, question: VersionsQuestion) -> list[TemplateVersion]:
        """Return versions, the newest first; refuse those that are not there."""
        if question.template is None:
            if not question.selectors:
                raise missing_parameter("LaunchTemplateId or LaunchTemplateName")
            if not set(question.selectors) <= {LATEST, DEFAULT}:
                raise invalid_parameter("Without a launch template the versions can be $Latest and $Default only.")
            templates = scope(self._context.store.launch_templates, caller)
        else:
            templates = [self.chosen(caller, question.template)]
        return [
            TemplateVersion(template=template, version=version)
            for template in templates
            for version in sorted(self._selected(template, question), key=lambda it: -it.number)
        ]

    def at(self, caller: Caller, choice: TemplateChoice, selector: str | None) -> TemplateVersion:
        """Return the version that a launch names; the default one when it names none."""
        template = self.chosen(caller, choice)
        version = self._existing(template, number_of(template, selector or DEFAULT))
        return TemplateVersion(template=template, version=version)

    def version(self, record_id: str) -> TemplateVersion | None:
        """Return a version by the id of its record, None when it is gone."""
        version = self._context.store.launch_template_versions.get(record_id)
        template = None if version is None else self._context.store.launch_templates.get(version.template_id)
        return TemplateVersion(template=template, version=version) if template and version else None

    def chosen(self, caller: Caller, choice: TemplateChoice) -> LaunchTemplate:
        """Return the template that a request names, by exactly one of id and name, or refuse."""
        if choice.template_id and choice.name:
            raise invalid_combination("A launch template can be named by its ID or by its name, not by both.")
        if choice.name:
            template = self._named(caller, choice.name)
            if template is None:
                raise template_name_not_found(choice.name)
            return template
        if not choice.template_id:
            raise missing_parameter("LaunchTemplateId or LaunchTemplateName")
        if not is_well_formed(choice.template_id, "launch-template"):
            raise malformed_id("launch-template", choice.template_id)
        template = self._context.store.launch_templates.get(choice.template_id)
        if template is None or (template.account_id, template.region) != (caller.account_id, caller.region):
            raise template_not_found(choice.template_id)
        return template

    def _named(self, caller: Caller, name: str) -> LaunchTemplate | None:
        found = self._context.store.launch_templates.by("name")[caller.account_id, caller.region, name]
        return next(iter(found.values()), None)

    def _versions(self, template: LaunchTemplate) -> list[LaunchTemplateVersion]:
        return list(self._context.store.launch_template_versions.by("template")[template.id].values())

    def _existing(self, template: LaunchTemplate, number: int) -> LaunchTemplateVersion:
        version = self._context.store.launch_template_versions.get(version_id(template.id, number))
        if version is None:
            raise version_not_found(template.id, number)
        return version

    def _selected(self, template: LaunchTemplate, question: VersionsQuestion) -> list[LaunchTemplateVersion]:
        if question.selectors:
            numbers = dict.fromkeys(number_of(template, selector) for selector in question.selectors)
            return [self._existing(template, number) for number in numbers]
        first = 0 if question.first is None else plain_number(question.first)
        last = template.last_number if question.last is None else plain_number(question.last)
        return [version for version in self._versions(template) if first <= version.number <= last]

    def _version(
        self, caller: Caller, template_id: str, number: int, description: str | None, data: Mapping[str, Any]
    ) -> LaunchTemplateVersion:
        return LaunchTemplateVersion(
            id=version_id(template_id, number),
            account_id=caller.account_id,
            region=caller.region,
            template_id=template_id,
            number=number,
            created_at=self._context.now().replace(microsecond=0),
            created_by=_arn(caller),
            description=description,
            data=dict(data),
        )


def _arn(caller: Caller) -> str:
    return f"arn:aws:iam::{caller.account_id}:root"


def _hindrance(template: LaunchTemplate, number: int, there: Mapping[int, object]) -> str | None:
    if number not in there:
        return "launchTemplateVersionDoesNotExist"
    return "unexpectedError" if number == template.default_version else None
