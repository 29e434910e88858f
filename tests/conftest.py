"""What holds for all tests."""

import signal

from hypothesis import settings

# A machine that is busy is no fault of the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# A shell lets its background jobs ignore Ctrl-C, and what they start inherits it: here Ctrl-C is
# tested, wherever the tests themselves run.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
