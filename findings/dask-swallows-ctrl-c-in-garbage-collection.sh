#!/bin/sh
# distributed 2026.8.0, Python 3.11: Ctrl-C comes while a program that has started a LocalCluster collects garbage.
# Guess: KeyboardInterrupt is raised as soon as the collection ends, with a cluster as without one.
# Seen: the cluster's scheduler has put a function of its own, which takes the time, among `gc.callbacks`. An interruption that
#       waits for the end of the collection is raised in there, where Python can only print it as ignored: the program goes on.
#       The same holds for whatever else a signal's handler raises, as to end in order at SIGTERM. `sys.unraisablehook` sees it.
# Printed:  without a cluster: interrupted; with one: goes on, KeyboardInterrupt ignored in GCDiagnosis._gc_callback
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet distributed==2026.8.0
cat > "$folder/interrupted.py" <<'PYTHON'
import gc
import signal
import sys

from distributed import LocalCluster

ignored = []
sys.unraisablehook = lambda dropped: ignored.append(f"{dropped.exc_type.__name__} ignored in {dropped.object.__qualname__}")
signal.signal(signal.SIGALRM, signal.default_int_handler)  # a clock that presses Ctrl-C, in the midst of C code too
much = [[number] for number in range(3_000_000)]


def collect():
    signal.setitimer(signal.ITIMER_REAL, 0.01)  # a tenth of what the collection takes, or less
    try:
        gc.collect()
        sum(range(1_000_000))
    except KeyboardInterrupt:
        return "interrupted"
    return "goes on"


def main():
    alone = collect()
    with LocalCluster(n_workers=0, processes=False, dashboard_address=None, silence_logs=50):
        beside = collect()
    print(f"without a cluster: {alone}; with one: {beside}, {', '.join(ignored)}")
    expected = "interrupted", "goes on", ["KeyboardInterrupt ignored in GCDiagnosis._gc_callback"]
    sys.exit((alone, beside, ignored) != expected)


if __name__ == "__main__":
    main()
PYTHON
"$folder/env/bin/python" -u "$folder/interrupted.py"
