"""The photos of a run beside those of the run before it: what was lost is named."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks.compare.data_change import data_change
from tasks.compare.earlier_runs import ListedRun, listed
from tasks.contract.cache import Cache
from tasks.contract.store import Store
from tests.compare.test_earlier_runs import oldest_summary
from tests.compare.world import World


def run(photos: dict[str, int] | None = None, archive: str = "a", **data: Any) -> ListedRun:
    """A run of these photos by class, a fifth of them in each of validation and test."""
    told = oldest_summary()["data"] | {"archive_key": archive, "archive_sha256": archive * 64}
    summary = oldest_summary(data=told | data)
    if photos is not None:
        summary["data"]["kept"] = sum(photos.values())
        summary["classes"] = [
            {
                "name": name,
                "photos": {"train": n - 2 * (n // 5), "validation": n // 5, "test": n // 5},
            }
            for name, n in photos.items()
        ]
    return listed(summary)


def test_classes_that_are_gone_or_lost_more_than_half_are_named() -> None:
    before = run({"bear": 100, "bobcat": 100, "elk": 100, "fox": 10})
    now = run({"bear": 100, "bobcat": 50, "elk": 49})
    change = data_change(now, [before])
    assert change is not None
    assert (change.run_id, change.photos, change.photos_before) == ("then", 199, 310)
    assert [(loss.name, loss.photos, loss.photos_before) for loss in change.lost] == [
        ("elk", 49, 100),
        ("fox", 0, 10),
    ]


def test_the_newest_run_of_the_same_archive_counts() -> None:
    other, older = run(archive="b", kept=7), run({"bear": 10})
    change = data_change(run({"bear": 20}), [other, older, run({"bear": 30})])
    assert change is not None
    assert change.photos_before == 10
    assert data_change(run({"bear": 20}), [other]) is None
    assert data_change(run({"bear": 20}), []) is None


def test_the_refused_share_is_known_if_the_reports_tell_it() -> None:
    change = data_change(run(kept=60, refused=40), [run(kept=1000)])
    assert change is not None
    assert (change.refused_share, change.refused_share_before) == (0.4, None)


@pytest.mark.parametrize(
    "wrong", [{}, "bear", {"name": "bear"}, {"name": 1, "photos": {}}, {"name": "a", "photos": 3}]
)
def test_a_class_that_is_not_told_as_it_should_be_is_no_loss(wrong: Any) -> None:
    data = oldest_summary()["data"] | {"archive_key": "a"}
    change = data_change(run({"bear": 1}), [listed(oldest_summary(classes=[wrong], data=data))])
    assert change is not None
    assert change.lost == []


@pytest.mark.store
def test_a_report_tells_what_was_lost_and_lists_stay_small(
    world: World, store: Store, cache: Cache, read_report: Callable[[str], Any]
) -> None:
    assert world.compare(store, cache, "run-0").manifest.facts["data_change"] is None
    world.classes, world.refused = ["bear", "cougar"], {"truncated": 280}
    facts = world.compare(store, cache, force=True).manifest.facts
    assert facts["data_change"] == {
        "run_id": "run-0",
        "photos": 280,
        "photos_before": 420,
        "refused_share": 0.5,
        "refused_share_before": 7 / 427,
        "lost": [{"name": "elk", "photos": 0, "photos_before": 140}],
    }
    summary = read_report("summary.json")
    assert summary["data_change"] == facts["data_change"]
    assert "class_photos" not in summary["earlier"][0]
