"""What is known of one run on its way: a small file that survives everything."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

State = Literal["waiting", "uploading", "filed", "refused"]
"""``refused``: somebody has to do something; it is not tried again by itself."""

FIRST_WAIT_S = 30.0
LONGEST_WAIT_S = 3600.0


class Ticket(BaseModel):
    """One run that is to be handed on, or was."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True)

    format: Literal[1] = 1
    """Version of the file's layout."""
    uuid: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,63}$")]
    """Identifier of the acquisition; also of what comes of it elsewhere."""
    name: str
    """Name of the run."""
    folder: str
    """Where its files lie."""
    state: State = "waiting"
    """What it is doing."""
    reason: str = ""
    """Why it waits or was refused, in a sentence."""
    todo: str = ""
    """What somebody has to do."""
    added_s: float
    """When it was queued, seconds since the epoch (UTC)."""
    changed_s: float
    """When its state changed last."""
    not_before_s: float = 0.0
    """When it is tried again."""
    tries: int = Field(default=0, ge=0)
    """How often it was tried since it was queued, or since somebody asked for it again."""
    url: str = ""
    """Where it is filed, for a browser."""

    def begun(self, now_s: float) -> Ticket:
        """Return it as it is while it is being handed on."""
        return self._changed(now_s, state="uploading", reason="", todo="", tries=self.tries + 1)

    def interrupted(self, now_s: float) -> Ticket:
        """Return it as it is when whoever handed it on was killed: it is its turn again."""
        return self._changed(now_s, state="waiting", reason="the upload was interrupted", not_before_s=0.0)

    def postponed(self, now_s: float, reason: str) -> Ticket:
        """Return it as it is when the server cannot be reached: each time it waits twice as long, up to an hour."""
        wait_s = min(FIRST_WAIT_S * 2 ** min(max(self.tries - 1, 0), 30), LONGEST_WAIT_S)
        return self._changed(now_s, state="waiting", reason=reason, not_before_s=now_s + wait_s)

    def refused(self, now_s: float, reason: str, todo: str) -> Ticket:
        """Return it as it is when trying again would not help."""
        return self._changed(now_s, state="refused", reason=reason, todo=todo)

    def filed(self, now_s: float, url: str) -> Ticket:
        """Return it as it is when it has arrived."""
        return self._changed(now_s, state="filed", reason="", todo="", url=url)

    def again(self, now_s: float) -> Ticket:
        """Return it as it is when somebody asks for another try, now."""
        return self._changed(now_s, state="waiting", reason="", todo="", not_before_s=0.0, tries=0)

    def _changed(self, now_s: float, **values: object) -> Ticket:
        return self.model_copy(update={**values, "changed_s": now_s})
