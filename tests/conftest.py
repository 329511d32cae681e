"""What all tests share."""

import signal

pytest_plugins = ["tests.support.platform"]

# Who runs the tests in the background may have switched off Ctrl-C; processes started by tests
# would inherit that, and what they do on it is tested.
signal.signal(signal.SIGINT, signal.default_int_handler)
