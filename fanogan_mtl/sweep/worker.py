"""Imported by worker processes alone: they ignore Ctrl-C, which the main process handles for all."""

import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)
