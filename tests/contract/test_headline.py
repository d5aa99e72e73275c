"""Headlines: one listing tells a reader what it does not know; the file of all is only a cache."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.contract.headline import (
    Headline,
    headline_key,
    publish_headline,
    read_file_of_all,
    read_headlines,
)
from tasks.contract.store import Store


def made(run_id: str, **changes: Any) -> Headline:
    facts: dict[str, Any] = {
        "run_id": run_id,
        "finished": datetime(2026, 11, 24, 2, 44, tzinfo=UTC),
        "computed_by": run_id,
        "title": "Oregon Wildlife",
        "synthetic": False,
        "archive": "datasets/oregon-wildlife.zip",
        "photos": 13_000,
        "test_photos": 2_100,
        "scratch_accuracy": 0.6125,
        "scratch_accuracy_low": 0.59,
        "scratch_accuracy_high": 0.63,
        "transfer_accuracy": 0.95,
        "transfer_accuracy_low": 0.94,
        "transfer_accuracy_high": 0.96,
        "difference": 0.3375,
        "difference_low": 0.25,
        "difference_high": 0.425,
        "verdict": "transfer is better",
        "weights": "imagenet",
    }
    return Headline(**facts | changes)


@pytest.fixture
def asked(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the objects that are read whole, in a store that answers as ever."""
    keys: list[str] = []
    read = store.read

    def noted(key: str, most: int | None = None) -> bytes | None:
        keys.append(key)
        return read(key, most)

    monkeypatch.setattr(store, "read", noted)
    return keys


def test_what_was_published_is_read(store: Store) -> None:
    publish_headline(store, made("run-1"))
    publish_headline(store, made("manual__2026-11-24T02:44:00+00:00", difference=-1))
    found = read_headlines(store, {})
    assert {run_id: listed.headline for run_id, listed in found.items()} == {
        "run-1": made("run-1"),
        "manual__2026-11-24T02:44:00+00:00": made(
            "manual__2026-11-24T02:44:00+00:00", difference=-1
        ),
    }


def test_a_reader_that_knows_nothing_reads_one_object(store: Store, asked: list[str]) -> None:
    for number in range(5):
        publish_headline(store, made(f"run-{number}"))
    asked.clear()
    assert len(read_headlines(store, {})) == 5
    assert asked == ["headlines.json"]


def test_a_reader_reads_only_what_is_new_to_it(store: Store, asked: list[str]) -> None:
    publish_headline(store, made("run-1"))
    publish_headline(store, made("run-2"))
    known = read_headlines(store, {})
    publish_headline(store, made("run-2", title="another"))
    asked.clear()
    found = read_headlines(store, known)
    assert asked == [headline_key("run-2")]
    assert found["run-2"].headline == made("run-2", title="another")
    assert read_headlines(store, found) == found
    assert asked == [headline_key("run-2")]


def test_the_file_of_all_is_read_when_it_is_new(store: Store) -> None:
    assert read_file_of_all(store, None) == ({}, "")
    publish_headline(store, made("run-1"))
    found, etag = read_file_of_all(store, "") or ({}, "")
    assert {run_id: listed.headline for run_id, listed in found.items()} == {"run-1": made("run-1")}
    assert read_file_of_all(store, etag) is None
    assert found["run-1"].version == read_headlines(store, {})["run-1"].version
    publish_headline(store, made("run-2"))
    newer, _ = read_file_of_all(store, etag) or ({}, "")
    assert set(newer) == {"run-1", "run-2"}
    store.write("headlines.json", b"broken")
    assert read_file_of_all(store, etag) == ({}, "")


def test_what_is_gone_is_not_told_again(store: Store) -> None:
    publish_headline(store, made("run-1"))
    known = read_headlines(store, {})
    store.delete(headline_key("run-1"))
    assert read_headlines(store, known) == {}


@pytest.mark.parametrize("content", [b"", b"not JSON", b"[]", b'{"run-1": ["x", {}]}'])
def test_a_broken_file_of_all_costs_only_requests(store: Store, content: bytes) -> None:
    for number in range(3):
        publish_headline(store, made(f"run-{number}"))
    store.write("headlines.json", content)
    assert all(listed.headline for listed in read_headlines(store, {}).values())


def test_an_old_file_of_all_is_not_believed(store: Store) -> None:
    publish_headline(store, made("run-1"))
    publish_headline(store, made("run-2"))
    old = store.read("headlines.json")
    assert old is not None
    publish_headline(store, made("run-1", title="newer"))
    store.write("headlines.json", old)
    found = read_headlines(store, {})
    assert found["run-1"].headline == made("run-1", title="newer")


def test_what_is_no_headline_is_listed_as_unreadable(store: Store) -> None:
    store.write(headline_key("broken"), b"{}")
    store.write(headline_key("large"), b" " * 30_000)
    store.write(headline_key("liar"), made("another").model_dump_json().encode())
    store.write("headlines/<b>.json", b"{}")
    store.write("headlines/run-1/nested.json", b"{}")
    found = read_headlines(store, {})
    assert {run_id: listed.headline for run_id, listed in found.items()} == {
        "broken": None,
        "large": None,
        "liar": None,
    }
    assert all(listed.published.tzinfo for listed in found.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"scratch_accuracy": 1.2},
        {"transfer_accuracy_low": float("nan")},
        {"difference": -1.1},
        {"photos": -1},
        {"finished": datetime(2026, 1, 1)},
    ],
)
def test_a_headline_holds_only_what_can_be(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        made("run-1", **changes)
