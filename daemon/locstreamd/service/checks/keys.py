"""Who may come from another computer: the server's own keys, and who is admitted."""

from __future__ import annotations

from collections import Counter

from locstream.errors import LocstreamError
from locstream.stream.keys import Keyring, Role
from locstreamd.service.checks.finding import Finding, ok, problem, refused, warning
from locstreamd.service.config import Config

NAME = "keys"
MAKE = "`locstream keys server`, as the user that acquires"


def check_keys(config: Config) -> Finding:
    """See that who is to come by the addresses of a configuration can, and say to whom they are open."""
    stream, workers = config.stream, config.workers
    asked_at = [stream.listen] if stream.guarded is not None else []
    asked_at += [workers.listen] if workers.listen else []
    if not asked_at:
        opened = f"; every user of this computer may watch at {stream.listen}" if stream.listen else ""
        return ok(NAME, f"not asked for: no other computer can connect{opened}")
    try:
        keyring = Keyring()
        made, admitted = keyring.has_server, keyring.admitted()
        if made:
            keyring.server()
    except LocstreamError as error:
        return refused(NAME, error)
    where = " and ".join(asked_at)
    if not made:
        return problem(NAME, f"asked for at {where}, and {keyring.folder} holds no key of this computer", MAKE)
    roles = Counter(admission.role for admission in admitted.values())
    lacking = [Role.VIEW] if stream.guarded is not None and not roles[Role.VIEW] + roles[Role.CONTROL] else []
    lacking += [Role.WORK] if workers.listen and not roles[Role.WORK] else []
    if lacking:
        todo = ", ".join(f"`locstream keys new NAME --role {role}`" for role in lacking)
        return warning(NAME, f"asked for at {where}, and nobody is admitted to {' or to '.join(lacking)}", todo)
    return ok(NAME, f"asked for at {where}; admitted are {', '.join(f'{roles[r]} to {r}' for r in sorted(roles))}")
