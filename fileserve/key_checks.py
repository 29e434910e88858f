"""What `fileserve doctor` examines of the keys that sign links and sessions; nothing is changed."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fileserve.access.keys import KEYS_FILE, KeysUnreadable, Purpose, read_keys
from fileserve.deadlines import NoAnswer, answer_within
from fileserve.findings import Finding, Status
from fileserve.settings import SettingsError
from fileserve.state import state_folder

if TYPE_CHECKING:
    from fileserve.settings import Settings

_ANSWER_SECONDS = 5.0
_OF_OTHERS = 0o077


def key_findings(settings: "Settings") -> Iterator[Finding]:
    """Whether links and sessions can be judged, and by nobody else be made."""
    try:
        folder = state_folder(settings)
        yield answer_within(_ANSWER_SECONDS, partial(_finding, folder))
    except SettingsError:
        # The state folder has a finding of its own.
        return
    except NoAnswer:
        sentence = f"the key file does not answer for {_ANSWER_SECONDS:g} s"
        yield Finding(Status.WARN, "keys", sentence, "links are judged by the keys of before")


def _finding(folder: Path) -> Finding:
    path = folder / KEYS_FILE
    try:
        ring = read_keys(folder)
        mode = os.stat(path).st_mode if ring.keys else 0
    except (KeysUnreadable, OSError) as error:
        advice = "no link opens until it is readable; a backup of it brings them back"
        return Finding(Status.FAIL, "keys", str(error), advice)
    if mode & _OF_OTHERS:
        advice = f"whoever reads it can make links to everything: chmod 600 {path}"
        return Finding(Status.FAIL, "keys", f"others may read {path}", advice)
    count = len(ring.all_for(Purpose.LINK))
    known = f"{count} for links" if count else "none for links yet: the first link makes one"
    return Finding(Status.OK, "keys", known)
