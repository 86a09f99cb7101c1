import math
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnkit.errors import FileFormatError
from gnnkit.runs import config_from_toml, config_to_toml, read_config, write_config


@dataclass(frozen=True)
class Optimiser:
    name: Literal["adam", "sgd"] = "adam"
    lr: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)


@dataclass(frozen=True)
class Config:
    dataset: str
    epochs: int = 200
    patience: int | None = 10
    note: str | None = None
    normalize: Literal["none", "sym"] = "none"
    hidden: tuple[int, ...] = (16,)
    dropout: list[float] = field(default_factory=list)
    sparse: bool = True
    weight: float | str = 1.0
    model: dict[str, int | float | str | bool] = field(default_factory=dict)
    optimiser: Optimiser = Optimiser()

    def __post_init__(self):
        if self.epochs < 0:
            raise ValueError(f"epochs must not be negative, got {self.epochs}")


text = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda value: value != "none")
number = st.floats(allow_nan=False)
integer = st.integers(-(2**63), 2**63 - 1)
configs = st.builds(
    Config,
    dataset=text,
    epochs=st.integers(0, 2**62),
    patience=st.none() | integer,
    note=st.none() | text,
    normalize=st.sampled_from(["none", "sym"]),
    hidden=st.lists(integer, max_size=3).map(tuple),
    dropout=st.lists(number, max_size=3),
    sparse=st.booleans(),
    weight=number | text,
    model=st.dictionaries(text, st.booleans() | integer | number | text, max_size=3),
    optimiser=st.builds(Optimiser, st.sampled_from(["adam", "sgd"]), number, st.tuples(number, number)),
)


@given(configs)
def test_what_is_written_is_read_back(config):
    back = config_from_toml(config_to_toml(config), Config)
    assert back == config
    assert [type(value) for value in back.model.values()] == [type(value) for value in config.model.values()]


def test_floats_are_exact_and_nan_survives():
    config = Optimiser(lr=0.1 + 0.2, betas=(math.nan, math.inf))
    back = config_from_toml(config_to_toml(config), Optimiser)
    assert back.lr == 0.30000000000000004
    assert math.isnan(back.betas[0])
    assert back.betas[1] == math.inf


def test_files_round_trip_and_left_out_keys_take_defaults(tmp_path):
    write_config(tmp_path / "config.toml", Config("cora", patience=None))
    assert 'patience = "none"' in (tmp_path / "config.toml").read_text()
    assert read_config(tmp_path / "config.toml", Config) == Config("cora", patience=None)
    assert config_from_toml('dataset = "cora"', Config) == Config("cora")
    assert isinstance(config_from_toml("lr = 1", Optimiser).lr, float)


BROKEN = {
    "no TOML": ("dataset = ", "is not TOML"),
    "twice": ('dataset = "a"\ndataset = "b"', "is not TOML"),
    "nested beyond reason": ("dataset = " + "[" * 100_000, "is not TOML"),
    "an endless number": ("epochs = " + "9" * 5000, "is not TOML"),
    "missing key": ("epochs = 3", "the key 'dataset' is missing"),
    "unknown key": ('dataset = "a"\nepoch = 3', "unknown key 'epoch'; the keys here are dataset"),
    "unknown nested key": ('dataset = "a"\n[optimiser]\nmomentum = 1.0', "unknown key 'optimiser.momentum'"),
    "text for a number": ('dataset = "a"\nepochs = "3"', "'epochs' should be int, got '3'"),
    "bool for a number": ('dataset = "a"\nepochs = true', "'epochs' should be int, got True"),
    "float for an int": ('dataset = "a"\nepochs = 1.0', "'epochs' should be int, got 1.0"),
    "none where none is allowed": ('dataset = "a"\nepochs = "none"', "'epochs' should be int"),
    "number for text": ("dataset = 3", "'dataset' should be str, got 3"),
    "a date": ("dataset = 2020-01-01", "'dataset' should be str"),
    "no choice": ('dataset = "a"\nnormalize = "row"', "'normalize' should be one of 'none', 'sym', got 'row'"),
    "wrong element": ('dataset = "a"\nhidden = [1, "x"]', r"'hidden\[1\]' should be int, got 'x'"),
    "wrong length": ('dataset = "a"\n[optimiser]\nbetas = [0.9]', r"'optimiser.betas' should be tuple.*got \[0.9\]"),
    "no table": ('dataset = "a"\noptimiser = 1', "'optimiser' should be a table, got 1"),
    "neither": ('dataset = "a"\npatience = 1.5', 'should be int or "none", got 1.5'),
    "refused by the class": ('dataset = "a"\nepochs = -1', "epochs must not be negative, got -1"),
    "too large for a float": ('dataset = "a"\n[optimiser]\nlr = 1' + "0" * 400, "'optimiser.lr' is too large"),
    "control characters": ('dataset = "a"\n"\\u001b[2J" = 3', r"unknown key '\\x1b\[2J'"),
}


@pytest.mark.parametrize(("toml", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_files_name_the_file_and_the_key(tmp_path, toml, message):
    (tmp_path / "config.toml").write_text(toml)
    with pytest.raises(FileFormatError, match=rf"config\.toml: .*{message}"):
        read_config(tmp_path / "config.toml", Config)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(FileFormatError, match="is not UTF-8"):
        read_config(tmp_path / "config.toml", Config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config("a", patience="soon"), "'patience' should be int or"),
        (Config("a", note="none"), "would be read back as None"),
        (Config("a", optimiser=Optimiser(lr="fast")), "'optimiser.lr' should be float"),
        ({"dataset": "a"}, "must be an instance of a dataclass"),
    ],
)
def test_what_would_not_read_back_is_not_written(config, message):
    with pytest.raises(ValueError, match=message):
        config_to_toml(config)
