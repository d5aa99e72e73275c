"""What changed since the run before is named, and no change of accuracy beyond the numbers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.compare.changes import _found, _interval, change_since
from tasks.compare.earlier_runs import ListedRun, listed
from tasks.compare.wording import points_range
from tasks.contract.statistics import Interval


def run(right: tuple[int, int] = (60, 80), **other: Any) -> ListedRun:
    """A run by its test's photos that were right and all of them; scratch was right on half."""

    def arm(correct: int) -> dict[str, Any]:
        return {
            "recipe": "lab",
            "epochs": 20,
            "batch_size": 16,
            "learning_rate": 0.001,
            "weights": {"name": "ImageNet", "sha256": "b2" * 32},
            "test": {"photos": right[1], "correct": correct},
        }

    options = {"seed": 20, "fit": "squash", "class_weights": False, "feature_views": None}
    return listed(
        {
            "version": 1,
            "run_id": "then",
            "created": "2026-01-02T03:04:05Z",
            "title": "",
            "verdict": "not distinguishable",
            "scratch": arm(right[1] // 2) | other.pop("scratch", {}),
            "transfer": arm(right[0]) | other.pop("transfer", {}),
            "data": {
                "archive_key": "datasets/a.zip",
                "archive_sha256": "a1" * 32,
                "kept": 1000,
                "image_size": 224,
            }
            | other.pop("data", {}),
            "paired": {"design_effect": other.pop("design_effect", 1)},
            "classes": [{}] * other.pop("classes", 3),
            "origin": {
                "preprocess": {
                    "options": options | other,
                    "produced_by": {"revision": other.get("revision", "unknown")},
                }
            },
        }
    )


def said(before: ListedRun, after: ListedRun) -> str:
    return change_since(before, after).replace("\u00a0", " ").replace("\u2212", "-")


def changes(before: ListedRun, after: ListedRun) -> str:
    start = "Since run then of 2026-01-02: "
    sentence = said(before, after)
    assert sentence.startswith(start)
    return sentence.removeprefix(start).partition(". The accuracy")[0]


def test_each_network_has_its_sentence_with_the_interval_of_its_change() -> None:
    assert said(run((48, 80)), run((56, 70), data={"kept": 1234})) == (
        "Since run then of 2026-01-02: 234 more photos were used. The accuracy of transfer "
        "learning went from 60.0 % to 80.0 %: +20.0 percentage points (95 % interval +5.2 to "
        "+33.4), better. That of training from scratch went from 50.0 % to 50.0 %: 0.0 percentage "
        "points (95 % interval -15.6 to +15.6), not distinguishable."
    )
    assert "(95 % interval -33.4 to -5.2), worse." in said(run((56, 70)), run((48, 80)))


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"data": {"archive_sha256": "c3" * 32}}, "the archive under datasets/a.zip has other byt"),
        ({"data": {"kept": 999}}, "1 fewer photo was used"),
        ({"data": {"image_size": 96}}, "image size 224 → 96"),
        ({"classes": 4}, "classes 3 → 4"),
        ({"seed": 21}, "seed 20 → 21"),
        ({"fit": "crop"}, "fit squash → crop"),
        ({"class_weights": True}, "class weights off → on"),
        ({"feature_views": 4}, "feature views as the recipe → 4"),
        ({"transfer": {"epochs": 30}}, "epochs (transfer) 20 → 30"),
        ({"scratch": {"epochs": 30}, "transfer": {"epochs": 30}}, "epochs 20 → 30"),
        (
            {"scratch": {"batch_size": 8}, "transfer": {"batch_size": 32}},
            "batch size (from scratch) 16 → 8; batch size (transfer) 16 → 32",
        ),
        ({"transfer": {"learning_rate": 0.0005}}, "learning rate (transfer) 0.001 → 0.0005"),
        (
            {"scratch": {"recipe": "tuned"}, "transfer": {"recipe": "tuned"}},
            "recipe lab → tuned",
        ),
        (
            {"transfer": {"weights": {"name": "own", "sha256": "b2" * 32}}},
            "weights (transfer) ImageNet → own",
        ),
        (
            {"transfer": {"weights": {"name": "ImageNet", "sha256": "d4" * 32}}},
            "SHA-256 of the weights (transfer) b2b2b2b2b2b2 → d4d4d4d4d4d4",
        ),
    ],
)
def test_what_decides_accuracy_is_named_if_it_changed(other: dict[str, Any], told: str) -> None:
    assert changes(run(), run(**other)).startswith(told)


def test_the_source_is_named_if_both_runs_tell_it() -> None:
    named = run(revision="0123abc"), run(revision="4567def")
    assert changes(*named) == "source revision 0123abc → 4567def"
    assert "nothing changed" in changes(run(), named[1])


def test_nothing_that_changed_is_said_too_and_so_is_the_same_archive_under_another_key() -> None:
    same = "nothing changed of what the reports tell that decides accuracy"
    assert changes(run(), run()) == same
    assert changes(run(), run(data={"archive_key": "datasets/renamed.zip"})) == same


def test_another_archive_is_not_compared() -> None:
    other = run(data={"archive_key": "datasets/b.zip", "archive_sha256": "c3" * 32})
    assert "was of another archive (datasets/b.zip)" in said(other, run())
    assert "percentage points" not in said(other, run())
    unnamed = run(data={"archive_key": "", "archive_sha256": "c3" * 32})
    assert "another archive (SHA-256 c3c3c3c3c3c3)" in said(unnamed, run())
    assert "another archive" in said(unnamed, run(data={"archive_key": ""}))


def test_a_change_the_numbers_do_not_carry_is_not_named() -> None:
    assert said(run((90, 100)), run((92, 100))).count("not distinguishable") == 2


def test_photos_that_look_alike_count_as_fewer() -> None:
    before, after = run((48, 80)), run((56, 70))
    assert _found(_interval(before.transfer, after.transfer, 1)) == "better"
    assert _found(_interval(before.transfer, after.transfer, 4)) == "not distinguishable"
    assert "better" not in said(before, run((56, 70), design_effect=4))
    assert "better" not in said(run((48, 80), design_effect=4), after)


def test_an_interval_beside_zero_is_printed_beside_it() -> None:
    assert _found(Interval(0.0002, 0.04)) == "better"
    assert points_range(Interval(0.0002, 0.04)) == "+0.02 to +4.00"


arms = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(arms, arms, st.floats(1, 50))
def test_the_word_never_contradicts_the_interval_as_it_is_printed(
    before: tuple[int, int], after: tuple[int, int], wider: float
) -> None:
    interval = _interval(run(before).transfer, run(after).transfer, wider)
    assert -1 <= interval.low <= after[0] / after[1] - before[0] / before[1] + 1e-12
    assert interval.low <= interval.high <= 1
    low, _, high = points_range(interval).partition(" to ")
    expected = (
        "better" if low[0] == "+" else "worse" if high[0] == "\u2212" else "not distinguishable"
    )
    assert _found(interval) == expected
