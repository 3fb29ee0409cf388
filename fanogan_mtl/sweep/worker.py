"""Imported by worker processes alone: leave Ctrl-C, which a terminal sends to all, to the one that a person started."""

import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)
