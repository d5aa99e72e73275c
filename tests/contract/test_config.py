"""Options: every bound holds, every mistake is named, and nothing is lost on the way."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contract.config import (
    PATTERNS_IN_WORDS,
    ChampionOptions,
    CompareOptions,
    Config,
    FetchOptions,
    PreprocessOptions,
    ScratchOptions,
    TransferOptions,
)
from tasks.contract.errors import ConfigurationError


def without_null(field: dict[str, Any]) -> dict[str, Any]:
    """A field that may be null, for what the recipe says, without that."""
    return field | next(iter(field.get("anyOf", [{}])))


PROPERTIES: dict[str, dict[str, Any]] = {
    name: without_null(field) for name, field in Config.model_json_schema()["properties"].items()
}
NUMBERS = sorted(
    name for name, field in PROPERTIES.items() if field["type"] in ("integer", "number")
)
SHA256 = "0" * 64


def values_of(name: str) -> st.SearchStrategy[Any]:
    """Every value that the trigger form's own schema allows an option."""
    field = PROPERTIES[name]
    low, high = field.get("minimum"), field.get("maximum")
    if field["type"] == "integer":
        return st.integers(low, high)
    if field["type"] == "number":
        low = field.get("exclusiveMinimum", low)
        return st.floats(low, high, exclude_min="exclusiveMinimum" in field)
    if "enum" in field:
        return st.sampled_from(field["enum"])
    if field["type"] == "boolean":
        return st.booleans()
    return {
        "archive": st.sampled_from(["datasets/a.zip", "datasets/Zürich wild.zip", "x"]),
        "weights": st.sampled_from(["imagenet", "lite0", "weights/mine.weights.h5"]),
        "weights_sha256": st.just(SHA256),
        "title": st.text(st.characters(codec="utf-8"), max_size=200),
    }[name]


def valid_options() -> st.SearchStrategy[dict[str, Any]]:
    every = {name: values_of(name) for name in PROPERTIES}
    return st.fixed_dictionaries({"weights_sha256": every.pop("weights_sha256")}, optional=every)


def leaves_enough_to_train(options: dict[str, Any]) -> bool:
    return options.get("validation_share", 0.15) + options.get("test_share", 0.15) <= 0.6


@given(valid_options().filter(leaves_enough_to_train))
def test_a_configuration_survives_json(options: dict[str, Any]) -> None:
    config = Config.parse(json.dumps(options))
    assert Config.parse(config.model_dump_json()) == config
    assert all(getattr(config, name) == value for name, value in options.items())


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_beyond_its_bounds_is_refused_by_name(name: str) -> None:
    field = PROPERTIES[name]
    step = 1 if field["type"] == "integer" else 0.001
    low = field.get("minimum", field.get("exclusiveMinimum"))
    assert low is not None
    beyond = [low - step, field["maximum"] + step, "many", float("nan"), float("inf")]
    beyond += [] if "anyOf" in field else [None]
    beyond += [low] if "exclusiveMinimum" in field else []
    for value in beyond:
        with pytest.raises(ConfigurationError, match=f"option '{name}' is"):
            Config.parse({name: value})


@pytest.mark.parametrize("name", NUMBERS)
def test_the_bounds_themselves_are_allowed(name: str) -> None:
    field = PROPERTIES[name]
    for bound in (field.get("minimum"), field["maximum"]):
        assert bound is None or getattr(Config.parse({name: bound}), name) == bound


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("archive", ""),
        ("archive", "/leading"),
        ("archive", "two\nlines"),
        ("archive", "a" * 1025),
        ("weights", "pickle.pkl"),
        ("weights_sha256", "ABC"),
        ("title", "a" * 201),
        ("force", "perhaps"),
    ],
)
def test_a_text_that_cannot_be_meant_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"option '{name}' is"):
        Config.parse({name: value})


@pytest.mark.parametrize(
    ("name", "value", "requirement"),
    [
        ("scratch_epochs", 0, "must be 1 or more"),
        ("scratch_epochs", 1001, "must be 1000 or less"),
        ("seed", 2**31, "must be 2147483647 or less"),
        ("test_share", 0.01, "must be 0.05 or more"),
        ("scratch_learning_rate", 0, "must be more than 0"),
        ("scratch_epochs", "many", "must be a whole number"),
        ("scratch_epochs", 1.5, "must be a whole number"),
        ("test_share", "half", "must be a number"),
        ("seed", float("inf"), "must be a finite number"),
        ("fit", "stretch", "must be 'squash' or 'crop'"),
        ("force", "perhaps", "must be true or false"),
        ("title", 1, "must be a text"),
        ("title", "a" * 201, "must be 200 characters or fewer"),
        ("archive", "/a.zip", "must be a key on one line that begins with neither '/' nor a space"),
        ("weights_sha256", "ABC", "must be 64 of the digits 0-9 and a-f, or empty"),
    ],
)
def test_a_complaint_says_what_the_option_must_be(name: str, value: Any, requirement: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Config.parse({name: value})
    assert str(caught.value).endswith(f": {requirement}")
    assert str(caught.value).startswith(f"option '{name}' is ")


def test_every_pattern_has_its_words() -> None:
    assert PATTERNS_IN_WORDS.keys() == {
        name for name in PROPERTIES if "pattern" in PROPERTIES[name]
    }


@given(st.text().filter(lambda name: name not in PROPERTIES))
def test_an_unknown_option_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match="unknown option") as caught:
        Config.parse({name: 1})
    assert repr(name) in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.text() | JSON.map(json.dumps) | st.sampled_from(["[" * 100_000, "1" * 5000]))
def test_any_text_gives_a_configuration_or_one_clear_line(text: str) -> None:
    complaint = ""
    try:
        Config.parse(text)
    except ConfigurationError as error:
        complaint = str(error)
    assert "\n" not in complaint


@given(st.floats(0.05, 0.4), st.floats(0.05, 0.4))
def test_training_keeps_the_larger_part(validation: float, test: float) -> None:
    options = {"validation_share": validation, "test_share": test}
    if validation + test <= 0.6:
        Config.parse(options)
    else:
        with pytest.raises(ConfigurationError, match=r"less than 40 % .* for training"):
            Config.parse(options)


def test_weights_of_ones_own_must_be_pinned() -> None:
    with pytest.raises(ConfigurationError, match="weights_sha256 is needed"):
        Config.parse({"weights": "weights/mine.h5"})
    assert Config.parse({"weights": "weights/mine.h5", "weights_sha256": SHA256})


def test_a_step_sees_its_own_options_only() -> None:
    config = Config.parse({"seed": 7, "archive": "a.zip", "scratch_epochs": 3})
    assert config.slice(FetchOptions) == FetchOptions(archive="a.zip")
    assert config.slice(PreprocessOptions) == PreprocessOptions(seed=7)
    assert config.slice(ScratchOptions) == ScratchOptions(seed=7, scratch_epochs=3)


def test_every_option_belongs_to_a_step() -> None:
    slices = (
        FetchOptions,
        PreprocessOptions,
        ScratchOptions,
        TransferOptions,
        ChampionOptions,
        CompareOptions,
    )
    owned = {name for options in slices for name in options.model_fields}
    assert set(Config.model_fields) - owned == {"force"}


def test_every_option_says_what_it_is_in_the_form() -> None:
    for name, field in PROPERTIES.items():
        assert field["title"], name
        assert field["description"].endswith("."), name
        assert field["section"], name
