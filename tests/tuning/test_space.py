"""What a study searches: what a person wrote, or ranges around a detector's own values; one line for a mistake."""

import optuna
import pytest

from fanogan_mtl.errors import UserError
from fanogan_mtl.plan.words import DetectorChoice, parse_detectors
from fanogan_mtl.tuning.space import Choices, Range, parse_search_space


def chosen(detector: str, **parameters: object) -> DetectorChoice:
    return DetectorChoice(detector, "custom", parameters)


def test_the_default_space_lies_around_the_detectors_own_values() -> None:
    space = parse_search_space("default", chosen("fanogan"))
    assert list(space) == ["batch_size", "latent_dim", "kappa", "learning_rate"]
    own = {"batch_size": 64, "latent_dim": 100, "kappa": 1.0, "learning_rate": 1e-4}
    assert all(space[name].holds(value) for name, value in own.items())
    assert list(parse_search_space("default", chosen("vae"))) == ["batch_size", "latent_dim", "learning_rate"]
    assert parse_search_space("default", chosen("dagmm"))["latent_dim"] == Range(1, 8, log=True)


def test_what_is_fixed_leaves_the_default_space() -> None:
    (detector,) = parse_detectors("fanogan", '{"fanogan": {"kappa": 0.5}}', {"latent_dim": "32"})
    assert list(parse_search_space("default", detector)) == ["batch_size", "learning_rate"]


def test_what_is_written_is_drawn() -> None:
    text = (
        '{"latent_dim": {"low": 2, "high": 16, "log": true}, "kappa": {"low": 0, "high": 1.5},'
        ' "batch_size": [16, 32], "encoder_widths": [[64], [128, 32]], "start_at_mean": [true, false]}'
    )
    space = parse_search_space(text, chosen("fanogan"))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        drawn = {name: values.draw(trial, name) for name, values in space.items()}
        assert all(space[name].holds(value) for name, value in drawn.items())
        assert drawn["encoder_widths"] in ([64], [128, 32])
        assert isinstance(drawn["latent_dim"], int)
        assert isinstance(drawn["kappa"], float)


def test_a_value_of_another_kind_is_not_held() -> None:
    assert not Range(1, 8).holds(2.5)
    assert not Range(1, 8).holds(True)
    assert not Range(1, 8).holds(None)
    assert Range(0.5, 8.0).holds(1)
    assert not Choices((1, 2)).holds(True)
    assert Choices(([1, 2],)).holds([1, 2])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "search_space is not JSON"),
        ("[1]", "search_space '\\[1\\]' is not a JSON object"),
        ("none", "names no parameter"),
        ('{"depth": [1, 2]}', "unknown parameter 'depth' of vae"),
        ('{"latent_dim": []}', "a list of choices, or low and high"),
        ('{"latent_dim": [8, 8]}', "different numbers"),
        ('{"latent_dim": [{"a": 1}]}', "different numbers"),
        ('{"latent_dim": 8}', "a list of choices, or low and high"),
        ('{"latent_dim": {"low": 8}}', "a list of choices, or low and high"),
        ('{"latent_dim": {"low": 8, "high": 16, "step": 2}}', "a list of choices, or low and high"),
        ('{"latent_dim": {"low": 8, "high": 4}}', "low must be a number below high"),
        ('{"latent_dim": {"low": "8", "high": 16}}', "low must be a number below high"),
        ('{"learning_rate": {"low": NaN, "high": 16}}', "low must be a number below high"),
        ('{"latent_dim": {"low": 0, "high": 16}}', "'latent_dim' parameter of VAE"),
        ('{"latent_dim": [8, 1.5]}', "'latent_dim' parameter of VAE"),
        ('{"beta": {"low": 0, "high": 1, "log": true}}', "low must be over 0"),
        ('{"beta": {"low": 0.5, "high": 1, "log": 1}}', "log is true or false"),
        ('{"epochs": [1, 2]}', "epochs is set by the option epochs"),
        ('{"batch_size": [1, 2]}', "batch_size is fixed at 16"),
    ],
)
def test_a_mistake_is_one_line(text: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as raised:
        parse_search_space(text, chosen("vae", batch_size=16))
    assert "\n" not in str(raised.value)


def test_a_detector_without_such_parameters_needs_a_space() -> None:
    with pytest.raises(UserError, match="knn has no batch_size, latent_dim, kappa, learning_rate; say what to search"):
        parse_search_space("default", chosen("knn"))
    with pytest.raises(UserError, match="that is not fixed already"):
        parse_search_space("default", chosen("dagmm", batch_size=16, latent_dim=2, learning_rate=0.1))
    assert parse_search_space('{"n_neighbors": [1, 5]}', chosen("knn")) == {"n_neighbors": Choices((1, 5))}
