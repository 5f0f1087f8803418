"""The status of a task that imports or exports a disk or an image."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class TaskStatus(StrEnum):
    """Source: EC2 API Reference, DescribeImportImageTasks, Filters. A task that fails is `deleted` too."""

    ACTIVE = "active"
    COMPLETED = "completed"
    DELETING = "deleting"
    DELETED = "deleted"


class TaskEvent(StrEnum):
    """What changes a task's status."""

    FINISHED = "finished"
    CANCEL_REQUESTED = "cancel requested"
    CLEANED_UP = "cleaned up"


#: (status, event) -> next status. A pair that has no row is refused.
TRANSITIONS: Final[Mapping[tuple[TaskStatus, TaskEvent], TaskStatus]] = {
    (TaskStatus.ACTIVE, TaskEvent.FINISHED): TaskStatus.COMPLETED,
    (TaskStatus.ACTIVE, TaskEvent.CANCEL_REQUESTED): TaskStatus.DELETING,
    (TaskStatus.ACTIVE, TaskEvent.CLEANED_UP): TaskStatus.DELETED,
    (TaskStatus.DELETING, TaskEvent.CLEANED_UP): TaskStatus.DELETED,
}
