"""The options of serve are the settings: by name, and by default as the help tells it."""

import re

import pytest
import typer

import cli
from fileserve.quantities import parse_bytes, parse_duration
from fileserve.settings import Settings

_PARAMETERS = {
    parameter.name: parameter
    for parameter in typer.main.get_command(cli.app).commands["serve"].params  # type: ignore[attr-defined]
    if parameter.name not in ("root_option", "help")
}


def test_every_setting_has_its_option() -> None:
    assert set(_PARAMETERS) == set(Settings.model_fields)


def _value(told: str, default: object) -> str:
    """What is told in a unit, as the number that it is."""
    if isinstance(default, int) and told.endswith(("M", "MiB")):
        return str(parse_bytes(told))
    if isinstance(default, int) and told.endswith("d"):
        return str(parse_duration(told))
    return told


@pytest.mark.parametrize("name", sorted(set(_PARAMETERS) - {"root"}))
def test_help_tells_the_default_that_holds(name: str) -> None:
    told = re.search(r"\\\[(.*)\]$", _PARAMETERS[name].help)
    default = Settings.model_fields[name].default
    if name == "access_log":
        assert (told is not None and told[1] == "access-log") is default
    elif default in (None, (), False):
        assert told is None
    else:
        assert told is not None
        assert _value(told[1], default) == str(default)
