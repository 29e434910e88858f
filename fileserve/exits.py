"""How commands end: the only map from an error to a sentence and an exit code."""

import os
import sys
import traceback
from collections.abc import Mapping

from fileserve import console
from storage import errors

# The backspace keeps the lines as they are (a convention of click).
EXIT_CODES = """\b
Exit codes
  0  done                   5  not permitted
  1  failed, as said        6  no space
  2  wrong usage, setting   7  address in use
  3  not found              8  doctor found problems
  4  already exists         9  verify found losses
                           10  verify found changes
                          130  interrupted"""

FAILED = 1
WRONG_USAGE = 2
DOCTOR_FOUND_PROBLEMS = 8
VERIFY_FOUND_LOSSES = 9
VERIFY_FOUND_CHANGES = 10
INTERRUPTED = 130


class UsageRefused(Exception):  # noqa: N818 - a refusal with its reason, not a fault
    """The options given do not go together; the message says why."""


_CODES: Mapping[type[Exception], int] = {
    UsageRefused: WRONG_USAGE,
    errors.NameRefused: WRONG_USAGE,
    errors.IsFolder: WRONG_USAGE,
    errors.NotAFolder: WRONG_USAGE,
    errors.NotFound: 3,
    errors.AlreadyExists: 4,
    errors.AccessDenied: 5,
    errors.NoSpace: 6,
}
_DEBUG = "FILESERVE_DEBUG"


def explain(error: Exception) -> int:
    """Tell the admin what error means; the exit code for it.

    Never a traceback, unless FILESERVE_DEBUG is set.
    """
    if os.environ.get(_DEBUG):
        traceback.print_exception(error)
    elif isinstance(error, errors.StorageError | OSError | UsageRefused) or _is_about_settings(
        error
    ):
        console.note(str(error))
    else:
        fault = f"{type(error).__name__}: {error}"
        console.note(f"a fault of fileserve itself ({fault}); {_DEBUG}=1 shows where")
    return _exit_code(error)


def of_verification(counts: Mapping[str, int], refusals: int) -> int:
    """The exit code of verify by what was found how often; refusals: what could not be read."""
    if refusals or any(counts.get(finding) for finding in ("damaged", "missing", "unreadable")):
        return VERIFY_FOUND_LOSSES
    if any(counts.get(finding) for finding in ("changed", "new")):
        return VERIFY_FOUND_CHANGES
    return 0


def _exit_code(error: Exception) -> int:
    if _is_about_settings(error):
        return WRONG_USAGE
    if isinstance(error, OSError):
        error = errors.from_os_error(error, "")
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), FAILED)


def _is_about_settings(error: Exception) -> bool:
    # Looked up, not imported: who raised a SettingsError has imported it, nobody else pays.
    settings = sys.modules.get("fileserve.settings")
    return settings is not None and isinstance(error, settings.SettingsError)
