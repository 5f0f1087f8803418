"""aws_launch_template: ec2_launch_template.go."""

import uuid

from tests.clients.terraform.provider import Resource, Values, only, tags_of
from tests.clients.terraform.refusals import tolerated


class AwsLaunchTemplate(Resource):
    """`data`: its blocks and attributes as LaunchTemplateData has them, so that a second plan compares all of it.

    Nothing in it is computed: what a template was not given must not be shown.
    """

    kind = "launch-template"
    gone = ("InvalidLaunchTemplateId.NotFound",)

    def create(self) -> str:
        made = self.ec2.create_launch_template(
            ClientToken=str(uuid.uuid4()),
            LaunchTemplateName=self.wanted["name"],
            LaunchTemplateData=self._data(),
            **self._described(),
            **self.tagged(),
        )
        return str(made["LaunchTemplate"]["LaunchTemplateId"])

    def read(self) -> Values:
        template = only(self.ec2.describe_launch_templates(LaunchTemplateIds=[self.id])["LaunchTemplates"])
        newest = str(template["LatestVersionNumber"])
        version = only(
            self.ec2.describe_launch_template_versions(LaunchTemplateId=self.id, Versions=[newest])[
                "LaunchTemplateVersions"
            ]
        )
        return {
            "data": version["LaunchTemplateData"],
            "default_version": template["DefaultVersionNumber"],
            "description": version.get("VersionDescription"),
            "latest_version": template["LatestVersionNumber"],
            "name": template["LaunchTemplateName"],
            "tags": tags_of(template),
            "update_default_version": self.wanted.get("update_default_version"),
        }

    def update(self, changed: Values) -> None:
        newest = self.state["latest_version"]
        if changed.keys() & {"data", "description"}:
            made = self.ec2.create_launch_template_version(
                ClientToken=str(uuid.uuid4()),
                LaunchTemplateId=self.id,
                LaunchTemplateData=self._data(),
                **self._described(),
            )
            newest = made["LaunchTemplateVersion"]["VersionNumber"]
        if self.wanted.get("update_default_version"):
            self.ec2.modify_launch_template(LaunchTemplateId=self.id, DefaultVersion=str(newest))
        elif "default_version" in changed:
            self.ec2.modify_launch_template(LaunchTemplateId=self.id, DefaultVersion=str(changed["default_version"]))

    def destroy(self) -> None:
        with tolerated("InvalidLaunchTemplateId.NotFound"):
            self.ec2.delete_launch_template(LaunchTemplateId=self.id)

    def _described(self) -> Values:
        return {"VersionDescription": self.wanted["description"]} if self.wanted.get("description") else {}

    def _data(self) -> Values:
        """At least one member is always there, be it empty."""
        return {"UserData": "", **self.wanted["data"]}
