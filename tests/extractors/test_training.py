"""Training with Lightning: what is chosen, what is measured, and that an interrupted one ends as any other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.data.hashing import content_hashes
from fanogan_mtl.data.joint import JointSampler, stratified_split
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.extractors import make_extractor, networks, training
from fanogan_mtl.extractors.base import Extractor
from fanogan_mtl.extractors.modules import Network

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (240, 28, 28), dtype=np.uint8)
LABELS = np.arange(240) % 4  # nothing in the images tells them
DOMAINS = (np.arange(240) < 160).astype(int)

State = dict[str, Tensor]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


def parts(images: NDArray[np.uint8], labels: NDArray[np.int64], domains: NDArray[np.int64]) -> tuple[NDArray, NDArray]:
    return stratified_split(content_hashes(images), labels, domains, seed=0)


def assert_same_training(one: Extractor, other: Extractor) -> None:
    for epoch, expected in zip(one.history_, other.history_, strict=True):
        assert epoch == pytest.approx(expected, abs=1e-6)
    assert one.best_epoch_ == other.best_epoch_
    state, expected_state = one.network_.state_dict(), other.network_.state_dict()
    assert state.keys() == expected_state.keys()
    for key, value in state.items():
        torch.testing.assert_close(value, expected_state[key], rtol=0, atol=1e-6, msg=key)


@pytest.fixture
def epochs_begun(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list of epochs, from 0, that batches were drawn for."""
    begun: list[int] = []
    draw = JointSampler.rows

    def spied(sampler: JointSampler) -> NDArray[np.int64]:
        begun.append(sampler.epoch)
        return draw(sampler)

    monkeypatch.setattr(JointSampler, "rows", spied)
    return begun


@pytest.fixture
def epoch_states(monkeypatch: pytest.MonkeyPatch) -> list[State]:
    """Return the list of the network's states at the end of each epoch."""
    states: list[State] = []
    write = training._HistoryFile.on_train_epoch_end

    def spied(callback: training._HistoryFile, trainer: object, module: training._Training) -> None:
        states.append({key: value.clone() for key, value in module.network.state_dict().items()})
        write(callback, trainer, module)

    monkeypatch.setattr(training._HistoryFile, "on_train_epoch_end", spied)
    return states


def test_a_few_epochs_on_real_digits_classify_most_unseen_ones(real_digits: dict[str, Dataset]) -> None:
    train = real_digits["optdigits"].train
    extractor = make_extractor("lenet5", epochs=3, device="cpu").fit(train.pixels, train.labels)
    assert extractor.history_[-1]["accuracy_validation"] > 0.8
    test = real_digits["optdigits"].test
    assert (extractor.predict(test.pixels) == test.labels).mean() > 0.8


def test_shuffled_labels_are_not_told_above_chance_on_validation_images(real_digits: dict[str, Dataset]) -> None:
    train = real_digits["handwritten"].train
    images, labels = train.pixels[::2], np.random.default_rng(1).permutation(train.labels[::2])
    settings = {"epochs": 12, "patience": 12, "batch_size": 64, "learning_rate": 5e-3, "device": "cpu"}
    history = make_extractor("lenet5", **settings).fit(images, labels).history_
    assert history[-1]["accuracy_train"] > 0.17  # they are learned by heart
    assert max(epoch["accuracy_validation"] for epoch in history) <= 0.15


def test_validation_images_are_never_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    images = IMAGES.copy()
    images[200:] = images[:40]  # copies under other labels and in the other domain
    seen: dict[bool, set[bytes]] = {True: set(), False: set()}
    evaluate = networks._cross_entropy

    def spied(network: Network, batch: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        seen[network.training] |= {image.tobytes() for image in batch.numpy()}
        return evaluate(network, batch, labels)

    monkeypatch.setattr(networks, "_cross_entropy", spied)
    make_extractor("lenet5", epochs=2, device="cpu").fit(images, LABELS, DOMAINS)
    training_rows, validation_rows = parts(images, LABELS, DOMAINS)
    assert seen[False] == {image.tobytes() for image in images[validation_rows]}
    assert not seen[True] & seen[False]
    assert seen[True] <= {image.tobytes() for image in images[training_rows]}
    assert seen[True] >= {image.tobytes() for image in images[training_rows[DOMAINS[training_rows] == 1]]}


@pytest.mark.parametrize(
    ("name", "measure", "best_of", "number"),
    [("lenet5", "accuracy_validation", np.argmax, 240), ("autoencoder", "error_validation", np.argmin, 60)],
)
def test_the_epoch_with_the_best_validation_mean_is_kept(
    name: str, measure: str, best_of: Callable[[list[float]], int], number: int, epoch_states: list[State]
) -> None:
    settings = {"epochs": 6, "patience": 9, "batch_size": 16, "learning_rate": 5e-3, "device": "cpu"}
    extractor = make_extractor(name, **settings).fit(IMAGES[:number], LABELS[:number])
    means = [epoch[measure] for epoch in extractor.history_]
    assert extractor.best_epoch_ == 1 + best_of(means)
    assert extractor.best_epoch_ < 6, "the last epoch would be kept anyway"
    kept = extractor.network_.state_dict()
    for key, value in epoch_states[extractor.best_epoch_ - 1].items():
        assert torch.equal(kept[key], value)
    assert any((kept[key] != value).any() for key, value in epoch_states[-1].items())


def test_accuracies_in_the_history_are_those_of_each_domain_s_validation_images() -> None:
    extractor = make_extractor("lenet5", epochs=3, device="cpu").fit(IMAGES, LABELS, np.array(["b", "a"])[DOMAINS])
    best = extractor.history_[extractor.best_epoch_ - 1]
    names = [f"accuracy_{part}{domain}" for part in ("train", "validation") for domain in ("", "_a", "_b")]
    assert all(set(epoch) == {"loss", *names} for epoch in extractor.history_)
    _, validation = parts(IMAGES, LABELS, DOMAINS)
    right = extractor.predict(IMAGES) == LABELS
    assert best["accuracy_validation"] == pytest.approx(right[validation].mean())
    for name, domain in (("a", 1), ("b", 0)):
        own = validation[DOMAINS[validation] == domain]
        assert best[f"accuracy_validation_{name}"] == pytest.approx(right[own].mean())
    for epoch in extractor.history_:  # resampled, both domains weigh the same
        domains = [epoch[f"accuracy_train_{name}"] for name in ("a", "b")]
        assert epoch["accuracy_train"] == pytest.approx(np.mean(domains), abs=1e-6)
    assert best["accuracy_validation_a"] != best["accuracy_validation_b"]


def test_a_single_domain_is_measured_once() -> None:
    extractor = make_extractor("autoencoder", epochs=1, device="cpu").fit(IMAGES)
    assert [set(epoch) for epoch in extractor.history_] == [{"loss", "error_train", "error_validation"}]


def test_every_epoch_draws_batches_of_its_own(epochs_begun: list[int]) -> None:
    make_extractor("lenet5", epochs=3, device="cpu").fit(IMAGES, LABELS)
    assert epochs_begun == [0, 1, 2]


def test_training_stops_when_patience_is_at_its_end() -> None:
    extractor = make_extractor("lenet5", epochs=30, patience=2, device="cpu").fit(IMAGES, LABELS)
    assert len(extractor.history_) == extractor.best_epoch_ + 2 < 30


def test_an_ended_training_is_not_taken_further(tmp_path: Path, epochs_begun: list[int]) -> None:
    """It may be killed after its last epoch, before its extractor is saved."""
    for epochs, patience in ((30, 2), (2, 9)):
        settings = {"epochs": epochs, "patience": patience, "device": "cpu"}
        checkpoints = tmp_path / str(epochs)
        once = make_extractor("lenet5", **settings).fit(IMAGES, LABELS, None, checkpoints)
        begun = len(epochs_begun)
        again = make_extractor("lenet5", **settings).fit(IMAGES, LABELS, None, checkpoints)
        assert len(epochs_begun) == begun
        assert_same_training(again, once)


@pytest.fixture(scope="module")
def undisturbed() -> Extractor:
    with one_thread():
        return make_extractor("lenet5", **LONG).fit(IMAGES, LABELS, DOMAINS)


LONG = {"epochs": 6, "patience": 9, "learning_rate": 5e-3, "device": "cpu"}


@pytest.fixture
def _interrupt_handler() -> Iterator[None]:
    """Lightning takes no second Ctrl-C, ever: give pytest its own back."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interrupt_handler")
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_training_stopped_inside_an_epoch_ends_as_an_undisturbed_one(
    error: type[BaseException],
    undisturbed: Extractor,
    epochs_begun: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluate, steps = networks._cross_entropy, 0

    def stopping(network: Network, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal steps
        steps += network.training
        if steps == 11:  # the third epoch's third
            raise error
        return evaluate(network, images, labels)

    with monkeypatch.context() as patch:
        patch.setattr(networks, "_cross_entropy", stopping)
        with pytest.raises((RuntimeError, SystemExit)):
            make_extractor("lenet5", **LONG).fit(IMAGES, LABELS, DOMAINS, tmp_path)
    assert epochs_begun == [0, 1, 2]
    resumed = make_extractor("lenet5", **LONG).fit(IMAGES, LABELS, DOMAINS, tmp_path)
    assert epochs_begun == [0, 1, 2, 2, 3, 4, 5]
    assert_same_training(resumed, undisturbed)


def test_training_stopped_between_its_two_checkpoints_ends_as_an_undisturbed_one(
    undisturbed: Extractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best epoch's is new, the last epoch's is not."""
    save, saved = training._WholeFiles.save_checkpoint, []

    def stopping(files: training._WholeFiles, checkpoint: dict[str, Any], path: str, **options: object) -> None:
        saved.append(Path(path).name)
        if saved.count("last.ckpt") == undisturbed.best_epoch_:
            raise RuntimeError
        save(files, checkpoint, path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(training._WholeFiles, "save_checkpoint", stopping)
        with pytest.raises(RuntimeError):
            make_extractor("lenet5", **LONG).fit(IMAGES, LABELS, DOMAINS, tmp_path)
    assert saved[-2:] == ["best.ckpt", "last.ckpt"]
    assert undisturbed.best_epoch_ > 1, "begun anew"
    resumed = make_extractor("lenet5", **LONG).fit(IMAGES, LABELS, DOMAINS, tmp_path)
    assert_same_training(resumed, undisturbed)


def test_training_killed_ends_as_an_undisturbed_one(
    undisturbed: Extractor, epochs_begun: list[int], tmp_path: Path
) -> None:
    arrays = tmp_path / "arrays.npz"
    np.savez(arrays, images=IMAGES, labels=LABELS, domains=DOMAINS)
    code = f"""
import sys, time, numpy as np
from pathlib import Path
from fanogan_mtl.extractors import make_extractor, networks
evaluate = networks._cross_entropy
def slowly(*batch):
    time.sleep(0.05)
    return evaluate(*batch)
networks._cross_entropy = slowly
arrays = np.load(sys.argv[1])
extractor = make_extractor("lenet5", **{LONG})
extractor.fit(arrays["images"], arrays["labels"], arrays["domains"], Path(sys.argv[2]))
"""
    process = subprocess.Popen([sys.executable, "-c", code, arrays, tmp_path / "checkpoints"], env=os.environ)
    history = tmp_path / "checkpoints" / "history.json"
    until = time.monotonic() + 600
    try:
        while not history.exists() or len(json.loads(history.read_text())["history"]) < 2:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.01)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    written = json.loads(history.read_text())
    assert written["epochs"] == 6
    assert written["history"][0] == pytest.approx(undisturbed.history_[0], abs=1e-6)
    resumed = make_extractor("lenet5", **LONG).fit(IMAGES, LABELS, DOMAINS, tmp_path / "checkpoints")
    assert epochs_begun[0] in (1, 2), "begun anew"
    assert_same_training(resumed, undisturbed)


def test_checkpoints_are_written_in_their_own_folder_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is moved from another disk may be there in part when the process is killed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no such folder"))
    monkeypatch.chdir(tmp_path)
    make_extractor("lenet5", epochs=1, device="cpu").fit(IMAGES, LABELS, None, tmp_path / "checkpoints")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["best.ckpt", "history.json", "last.ckpt"]


def test_training_without_checkpoints_leaves_no_file_and_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    make_extractor("lenet5", epochs=1, device="cpu").fit(IMAGES, LABELS)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


@pytest.mark.parametrize("name", ["lenet5", "autoencoder"])
def test_images_too_few_to_validate_on_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^12 images leave none to validate on"):
        make_extractor(name, device="cpu").fit(IMAGES[np.arange(12) % 4], LABELS[:12])


def test_training_that_diverges_is_an_error_not_features_that_are_no_numbers() -> None:
    with pytest.raises(ValueError, match=r"^training diverged in epoch 1: choose a lower learning_rate$"):
        make_extractor("autoencoder", epochs=2, learning_rate=1e30, device="cpu").fit(IMAGES)
