"""Where finished runs go: a small TOML file of the user's, apart from what an instrument is told."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from locstream.errors import ConfigError
from locstream.settings import Settings, what_is_wrong


class UploadSettings(Settings):
    """Where finished runs go, and when."""

    folder: Path | None = None
    """Folder on a share or another disk; each run gets a folder in it."""
    while_acquiring: bool = False
    """Send also while an acquisition runs on this computer; the network and the disk are then shared with it."""
    nice: Annotated[int, Field(ge=0, le=19)] = 15
    """Niceness added to the uploader's process."""
    places: Annotated[dict[str, dict[str, Any]], Field(default_factory=dict)]
    """The file's tables, such as [omero], by name; what they hold is the matter of the place."""


def default_settings_file() -> Path:
    """Return where the settings of this user are looked for."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "locstream" / "upload.toml"


def load_upload_settings(path: Path) -> UploadSettings:
    """Read the settings.

    Raises
    ------
    ConfigError
        There is no such file, it is not valid, or says nowhere to go.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8-sig"))
        tables = {name: document.pop(name) for name in list(document) if isinstance(document[name], dict)}
        found = UploadSettings.model_validate({**document, "places": tables})
    except OSError as error:
        raise ConfigError(
            f"the upload settings {path} cannot be read: {error.strerror}",
            safe="what is queued stays queued",
            todo="write into it where finished runs go (see docs/upload.md)",
        ) from error
    except ValidationError as error:
        wrong = what_is_wrong(error, UploadSettings)
        raise ConfigError(
            f"the upload settings {path} are not valid:\n  " + "\n  ".join(wrong),
            safe="what is queued stays queued",
            todo="correct it; docs/upload.md has every key",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the upload settings {path} are not TOML: {error}", safe="what is queued stays queued"
        ) from error
    if found.folder is None and not tables:
        raise ConfigError(
            f"{path} does not say where finished runs go",
            todo='`folder = "/mnt/lab/smlm"`, or a table [omero] with `host = "…"` (see docs/upload.md)',
        )
    return found if found.folder is None else found.model_copy(update={"folder": found.folder.expanduser()})
