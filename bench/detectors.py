"""Detectors against those of other libraries on the same rows: `python -m bench.detectors`.

VAE and Deep SVDD against PyOD's on the same layout, epochs and batches:
2,000 random rows of 28 x 28 pixels, batches of 64, 5 epochs, one thread, in turn, processor time. Training is the
difference between 6 epochs and 1, so that building a network and scoring the training rows aren't in it. The bars:
VAE trains at least 3.5 times as fast, Deep SVDD at least as fast.

Mahalanobis against scikit-learn's `StandardScaler` and `LedoitWolf` on 5,000 random rows of 1,008 features, one thread,
in turn, processor time: fitting, which scores the training rows, too, on both sides, then 1,000 rows at once, then one,
and that one without the checks and the random numbers' guard that every detector has, which take longer than its score.
The bars: fitting at most 1.5 s and at least twice as fast, 1,000 rows at most 0.3 s, one unchecked row at most 0.5 ms.
"""

import contextlib
import io
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from pyod.models.deep_svdd import DeepSVDD as PyODDeepSVDD
from pyod.models.vae import VAE as PyODVAE
from sklearn.covariance import LedoitWolf
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fanogan_mtl.detectors.deep_svdd import DeepSVDD
from fanogan_mtl.detectors.mahalanobis import Mahalanobis
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.detectors.vae import VAE

ROWS = np.random.default_rng(0).random((2000, 784)).astype(np.float32)
EPOCHS = 5
REPEATS = 5

PAIRS: dict[str, tuple[Callable[[int], Any], Callable[[int], Any]]] = {
    "VAE": (
        lambda epochs: VAE(epochs=epochs, device="cpu"),
        lambda epochs: PyODVAE(
            epoch_num=epochs,
            batch_size=64,
            latent_dim=100,
            beta=0.8,
            capacity=0.2,
            output_activation_name="sigmoid",
            device="cpu",
            verbose=0,
        ),
    ),
    "Deep SVDD": (
        lambda epochs: DeepSVDD(epochs=epochs, device="cpu"),
        lambda epochs: PyODDeepSVDD(
            784, use_ae=True, epochs=epochs, batch_size=64, l2_regularizer=1e-6, random_state=0, verbose=0
        ),
    ),
}


def main() -> None:
    warnings.filterwarnings("ignore")
    with one_thread():
        for name, makers in PAIRS.items():
            times = [[measured(make) for make in makers] for _ in range(REPEATS)]
            for number, what in enumerate(("training", "scoring")):
                ours, pyod = (statistics.median(round_[who][number] for round_ in times) for who in (0, 1))
                print(f"{name} {what}: PyOD {pyod:.3f} s, ours {ours:.3f} s, ratio {pyod / ours:.2f}")
        mahalanobis()


def measured(make: Callable[[int], Any]) -> tuple[float, float]:
    """Seconds to train `EPOCHS` epochs and to score all rows."""
    detector = make(1 + EPOCHS)
    with contextlib.redirect_stdout(io.StringIO()):
        training = seconds(lambda: detector.fit(ROWS)) - seconds(lambda: make(1).fit(ROWS))
    return training, seconds(lambda: detector.decision_function(ROWS))


def mahalanobis() -> None:
    """Print the lines of Mahalanobis."""
    rows = np.random.default_rng(0).normal(size=(5000, 1008))
    ours, baseline = Mahalanobis(), make_pipeline(StandardScaler(), LedoitWolf())

    def distances(new: Any) -> Any:
        return baseline[1].mahalanobis(baseline[0].transform(new))

    tasks: dict[str, tuple[int, Callable[[], object], Callable[[], object]]] = {
        "fitting": (1, lambda: ours.fit(rows), lambda: distances(baseline.fit(rows) and rows)),
        "1,000 rows": (1, lambda: ours.decision_function(rows[:1000]), lambda: distances(rows[:1000])),
        "one row": (100, lambda: ours.decision_function(rows[:1]), lambda: distances(rows[:1])),
        "one row, unchecked": (100, lambda: ours._score_in_batches(rows[:1]), lambda: distances(rows[:1])),
    }
    for what, (times, *works) in tasks.items():
        measured_times = [[seconds(work, times) / times for work in works] for _ in range(REPEATS)]
        mine, theirs = (statistics.median(round_[who] for round_ in measured_times) for who in (0, 1))
        line = f"scikit-learn {theirs * 1000:.2f} ms, ours {mine * 1000:.2f} ms, ratio {theirs / mine:.2f}"
        print(f"Mahalanobis {what}: {line}")


def seconds(work: Callable[[], object], times: int = 1) -> float:
    start = time.process_time()
    for _ in range(times):
        work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
