"""Who is asking, in which group, and what that lets them do."""

from dataclasses import dataclass

import omero

from .store import Row

PRIVATE, READ_ONLY, READ_ANNOTATE, READ_WRITE = "rw----", "rwr---", "rwra--", "rwrw--"
LINK, EDIT, DELETE, ANNOTATE = range(4)
"""Places in the list of restrictions that a PermissionsI carries (omero/model/Permissions.ice)."""


@dataclass(frozen=True)
class Caller:
    """One user's view in one call.

    Attributes
    ----------
    group : int
        Group of the call, -1 for all of them, which is for reading only.
    member, leader : frozenset of int
        Groups the user belongs to and leads.
    modes : dict
        Permissions of every group, such as "rwr---".
    """

    user: int
    group: int
    member: frozenset[int]
    leader: frozenset[int]
    modes: dict[int, str]
    admin: bool = False
    event: int = 0

    def may_read(self, row: Row) -> bool:
        """Whether a query finds it (omero-server, `BasicSecurityFilter`/`OneGroupSecurityFilter` and `AllGroups…`)."""
        if row.model.is_global:
            return True
        if self.group != -1 and row.group != self.group:
            return False
        if self.admin or row.owner == self.user or row.group in self.leader:
            return True
        return row.group in self.member and self.modes[row.group][2] == "r"

    def may_change(self, row: Row) -> bool:
        """Whether it may be edited, linked into or deleted (`BasicACLVoter.allowUpdate`)."""
        if row.model.is_global:
            return self.admin
        if self.admin or row.owner == self.user or row.group in self.leader:
            return True
        return row.group in self.member and self.modes[row.group][3] == "w"

    def may_annotate(self, row: Row) -> bool:
        """Whether an annotation may be linked to it (`BasicACLVoter.allowAnnotate`)."""
        return self.may_change(row) or (row.group in self.member and self.modes[row.group][3] in "aw")

    def restrictions(self, row: Row) -> list[bool]:
        """Return what is not allowed, by place (`BasicACLVoter.postProcess`, which fills canLink and the others)."""
        change = not self.may_change(row)
        return [change, change, change, not self.may_annotate(row)]

    def must_write_in_a_group(self) -> None:
        """Refuse to write in all groups at once.

        Raises
        ------
        omero.SecurityViolation
            The call's group is -1.
        """
        if self.group == -1:
            raise omero.SecurityViolation(message="Cannot write with omero.group=-1: choose one group")
