"""Where the value of each setting comes from, and which one holds.

The command line beats the environment, the environment beats the configuration file, the file
beats the default.  The environment variable of `port` is FILESERVE_PORT; a list is written there
as JSON or with commas.  The configuration file is TOML with the same names at its top level.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource

from fileserve.settings import ENVIRONMENT_PREFIX, Settings, SettingsError, without_password

CONFIG_FILE_VARIABLE = "FILESERVE_CONFIG"
CONFIG_FILE_NAME = "fileserve.toml"
COMMAND_LINE_SOURCE = "the command line"
ENVIRONMENT_SOURCE = "the environment variable"
DEFAULT_SOURCE = "default"
NOT_SET_SOURCE = "not set"

# A relative path in a file is meant from where the file lies: a service's working folder is "/".
_PATH_SETTINGS = ("root", "state_dir", "tls_certificate", "tls_key")


@dataclass(frozen=True, slots=True)
class ExplainedSetting:
    """One row of `fileserve config`: what holds and where it came from."""

    name: str
    value: object
    source: str


@dataclass(frozen=True, slots=True)
class _Layer:
    """Values from one place; source names that place."""

    values: Mapping[str, object]
    source: str

    def source_of(self, name: str) -> str:
        if self.source == ENVIRONMENT_SOURCE:
            return f"{self.source} {ENVIRONMENT_PREFIX}{name.upper()}"
        return self.source


def load_settings(overrides: Mapping[str, object], config_file: Path | None = None) -> Settings:
    """The settings that hold for the command line's overrides and everything around it.

    An override of None is one that was not given.  config_file is the file to read in place of
    the search.  Raises SettingsError for the first setting that cannot hold.
    """
    return _validate(_layers(overrides, config_file))


def explain(
    overrides: Mapping[str, object], config_file: Path | None = None
) -> list[ExplainedSetting]:
    """Every setting with its value and source, also while root is not set (then None).

    Raises SettingsError like load_settings for anything else.
    """
    layers = _layers(overrides, config_file)
    stand_in = _Layer({"root": Path(os.curdir)}, NOT_SET_SOURCE)
    settings = _validate([*layers, stand_in])
    rows = []
    for name in Settings.model_fields:
        source = _source_of(name, [*layers, stand_in])
        value = None if source == NOT_SET_SOURCE else getattr(settings, name)
        rows.append(ExplainedSetting(name, _shown(name, value), source))
    return rows


def find_config_file() -> Path | None:
    """The configuration file that holds: FILESERVE_CONFIG, or the first that is there.

    Raises SettingsError when FILESERVE_CONFIG names a file that is not there, and for whatever
    else than a file has the name of one.
    """
    if named := os.environ.get(CONFIG_FILE_VARIABLE):
        if not Path(named).is_file():
            raise SettingsError(
                f"{CONFIG_FILE_VARIABLE} names {named}, which is no file; correct or unset it."
            )
        return Path(named)
    user_folder = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    places = (Path(), user_folder / "fileserve", Path("/etc/fileserve"))
    files = (place / CONFIG_FILE_NAME for place in places)
    found = next((file for file in files if os.path.lexists(file)), None)
    if found is not None and not found.is_file():
        # Passed over in silence, what it was meant to set would not hold.
        raise SettingsError(f"{found} is no regular file; replace or rename it.")
    return found


def _layers(overrides: Mapping[str, object], config_file: Path | None) -> list[_Layer]:
    """The layers that say something, strongest first."""
    given = {name: value for name, value in overrides.items() if value is not None}
    environment = EnvSettingsSource(Settings, env_prefix=ENVIRONMENT_PREFIX, env_ignore_empty=True)
    layers = [
        _Layer(given, COMMAND_LINE_SOURCE),
        _Layer(environment(), ENVIRONMENT_SOURCE),
    ]
    path = config_file or find_config_file()
    if path is not None:
        layers.append(_Layer(_read_config_file(path), str(path)))
    return layers


def _read_config_file(path: Path) -> dict[str, object]:
    """The file's settings, its relative paths made absolute; raises SettingsError."""
    try:
        values: dict[str, object] = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(
            f"The configuration file {path} cannot be read ({error.strerror}); "
            "correct its path or permissions."
        ) from error
    except ValueError as error:
        raise SettingsError(
            f"The configuration file {path} is not TOML ({error}); correct it."
        ) from error
    for key in values:
        if key not in Settings.model_fields:
            raise SettingsError(f"{path} sets {key!r}, which is no setting; {_remedy(key)}.")
    for name in _PATH_SETTINGS:
        if isinstance(written := values.get(name), str) and written:
            values[name] = path.absolute().parent / Path(written).expanduser()
    return values


def _remedy(key: str) -> str:
    near = difflib.get_close_matches(key.replace("-", "_").lower(), Settings.model_fields, n=1)
    return f"perhaps {near[0]!r} is meant" if near else "remove it"


def _validate(layers: list[_Layer]) -> Settings:
    merged: dict[str, object] = {}
    for layer in reversed(layers):
        merged.update(layer.values)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise SettingsError(_sentence(error.errors()[0], layers)) from error


def _source_of(name: str, layers: list[_Layer]) -> str:
    return next((x.source_of(name) for x in layers if name in x.values), DEFAULT_SOURCE)


def _sentence(error: ErrorDetails, layers: list[_Layer]) -> str:
    """What is wrong with which setting, where it came from, and what to do."""
    reason = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if not error["loc"]:
        pair = ("tls_certificate", "tls_key")
        name = next(x for x in pair if _source_of(x, layers) != DEFAULT_SOURCE)
        return f"{name} is set alone (from {_source_of(name, layers)}) but {reason}; set both."
    name = str(error["loc"][0])
    variable = ENVIRONMENT_PREFIX + name.upper()
    if error["type"] == "missing":
        return (
            f"{name} is not set; give it on the command line, in {variable}, "
            f"or in {CONFIG_FILE_NAME}."
        )
    if name not in Settings.model_fields:
        return f"{name!r} from {_source_of(name, layers)} is no setting; {_remedy(name)}."
    source = _source_of(name, layers)
    given = _shown(name, error["input"])
    return f"{name} is {given!r} (from {source}) but {reason}; correct it there."


def _shown(name: str, value: object) -> object:
    """A value as it may stand in a terminal or a bug report."""
    return without_password(value) if name == "catalog" and isinstance(value, str) else value
