"""Who may connect now, however often it is asked."""

from __future__ import annotations

from collections.abc import Mapping

from locstream.errors import LocstreamError
from locstream.stream.keys import Admission, Keyring, Role


class Admitted:
    """Who may connect now: `admitted.json`, looked at again whenever it changes.

    A file that cannot be read admits nobody.

    Parameters
    ----------
    keyring
        Where it is.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._seen: tuple[int, int, int] | None = None
        self._by_name: Mapping[str, Admission] = {}
        self._by_key: Mapping[str, str] = {}

    def name_of(self, public: str) -> str | None:
        """Return whose key this is, None where nobody's is."""
        self._look()
        return self._by_key.get(public)

    def role_of(self, name: str) -> Role | None:
        """Return somebody's role, None for one who is not admitted."""
        self._look()
        found = self._by_name.get(name)
        return None if found is None else found.role

    def everyone(self) -> Mapping[str, Admission]:
        """Return all of them by name."""
        self._look()
        return self._by_name

    def _look(self) -> None:
        try:
            found = (self._keyring.folder / "admitted.json").stat()
            seen = found.st_mtime_ns, found.st_ino, found.st_size
        except FileNotFoundError:
            seen = 0, 0, 0
        if seen == self._seen:
            return
        try:
            self._by_name = self._keyring.admitted()
        except LocstreamError:
            self._by_name = {}
        self._by_key = {admission.public: name for name, admission in self._by_name.items()}
        self._seen = seen
