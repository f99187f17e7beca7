"""Keys of a test: this computer's, and those that it makes for others."""

from __future__ import annotations

from pathlib import Path

import pytest

from locstream.stream.keys import ClientKeys, Keyring, Role, read_client_keys


def keyring_for(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Keyring:
    """Return the keys of this computer, for processes that are started from now on, too; it has a server key."""
    monkeypatch.setenv("LOCSTREAM_KEYS_DIR", str(folder))
    keyring = Keyring()
    keyring.server()
    return keyring


def keys_of(keyring: Keyring, name: str, role: Role = Role.VIEW) -> ClientKeys:
    """Make keys for somebody and admit them."""
    return read_client_keys(keyring.create_client(name, role))
