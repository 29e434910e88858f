"""What holds for all tests."""

import atexit
import os
import shutil
import signal
import tempfile

from hypothesis import settings

# What tests start keeps nothing in the user's own state folder, and finds nothing there.
_state_home = tempfile.mkdtemp(prefix="fileserve-state-")
atexit.register(shutil.rmtree, _state_home)
os.environ["XDG_STATE_HOME"] = _state_home

# A machine that is busy is no fault of the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# A shell lets its background jobs ignore Ctrl-C, and what they start inherits it: here Ctrl-C is
# tested, wherever the tests themselves run.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
