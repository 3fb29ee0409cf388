"""A study's trials on two workers against one: `python -m bench.tuning`. The bar: at most 0.6 of the time.

Both run the same enqueued trials, all to their end, in turns; workers are warm before the clock starts.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from optuna.pruners import NopPruner

from fanogan_mtl.plan.options import TuneOptions
from fanogan_mtl.sweep.trial import ask_whether_hopeless, run_trial
from fanogan_mtl.sweep.workers import Workers
from fanogan_mtl.tuning.study import finished, opened_study
from fanogan_mtl.tuning.trials import Trials
from fanogan_mtl.tuning.tuning import Tuning, make_tuning, objective_of

OPTIONS = TuneOptions(dataset="handwritten", classes="3,8", epochs="2,4", trials="8")
TURNS = 3


def main() -> None:
    tuning = make_tuning(OPTIONS, None)
    with Workers(1) as one, Workers(2) as two:
        for workers in (one, two):
            seconds(tuning, workers, trials=workers.count)
        times = [(seconds(tuning, one, tuning.trials), seconds(tuning, two, tuning.trials)) for _ in range(TURNS)]
    for of_one, of_two in times:
        print(
            f"{tuning.trials} trials: one worker {of_one:.1f} s, two {of_two:.1f} s, {of_two / of_one:.2f} of the time"
        )
    print(f"median {median(of_two / of_one for of_one, of_two in times):.2f}")


def seconds(tuning: Tuning, workers: Workers, trials: int) -> float:
    """Seconds of so many trials, each in turn of small and of large batches, in a study of their own."""
    execution = tuning.plan.execution
    with (
        TemporaryDirectory() as folder,
        opened_study("bench", "auto", Path(folder), objective_of(tuning), 0) as study,
    ):
        study.pruner = NopPruner()
        for number in range(trials):
            study.enqueue_trial({"batch_size": (64, 128)[number % 2], "latent_dim": 100, "kappa": 1.0})
        start = time.perf_counter()
        driven = Trials(study, tuning.default, tuning.space, tuning.cells, trials)
        with workers.answering(driven.is_hopeless) as channel:
            is_hopeless = partial(ask_whether_hopeless, channel=channel)
            run = partial(run_trial, data_dir=execution.data_dir, device="cpu", is_hopeless=is_hopeless)
            for outcome in workers.run(run, driven.begin(), ahead=False):
                driven.end(outcome)
        assert len(finished(study)) == trials
        return time.perf_counter() - start


if __name__ == "__main__":
    main()
