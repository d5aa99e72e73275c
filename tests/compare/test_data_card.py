"""The data card of the report: complete, bounded, and escaped whatever the archive holds."""

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import pytest

from tasks.compare.data_card import _conflicts, _rare_reasons_first
from tasks.contract.cache import Cache
from tasks.contract.photos import Refusal
from tasks.contract.store import Store
from tests.compare.test_report import FIGURES, HOSTILE, Page
from tests.compare.world import World

Read = Callable[[str], Any]


def refusal(entry: str, reason: str, class_name: str = "bear", same_as: str = "") -> Refusal:
    return Refusal(
        entry=entry, class_name=class_name, reason=reason, detail=f"of {entry}", same_as=same_as
    )


def pictures(page: Page) -> list[dict[str, str | None]]:
    """All but the thumbnails of test photos."""
    return [image for image in page.all("img") if "title" not in image]


def rows_of(content: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content, newline="")))


def test_rare_reasons_come_first() -> None:
    rows = [refusal(str(n), "duplicate") for n in range(3)] + [refusal("z", "empty")]
    assert [row.entry for row in _rare_reasons_first(rows)] == ["z", "0", "1", "2"]


def test_a_conflict_is_told_once_with_both_classes() -> None:
    rows = [
        refusal("a1", "label conflict", "a", same_as="b1"),
        refusal("a2", "label conflict", "a", same_as="b1"),
        refusal("b1", "label conflict", "b", same_as="a1"),
        refusal("a4", "duplicate", "a", same_as="a3"),
    ]
    found = [(c.entry, c.class_name, c.other, c.other_class) for c in _conflicts(rows)]
    assert found == [("a1", "a", "b1", "b"), ("a2", "a", "b1", "b")]


pytestmark = pytest.mark.store


def test_the_counts_of_each_class_add_up(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.compare(store, cache)
    markdown = read_report("report.md")
    assert "| bear | 100 | 20 | 20 | 7 | 147 |" in markdown
    assert "| **All** | 300 | 60 | 60 | 7 | 427 |" in markdown
    assert "| duplicate | 5 | 1.2\u00a0% |" in markdown


def test_what_was_refused_outside_every_class_is_counted_too(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    def with_more(step: str, facts: dict[str, Any]) -> dict[str, Any]:
        if step == "preprocess":
            facts["photos"] |= {"refused": 10, "entries": facts["photos"]["entries"] + 3}
        return facts

    world.facts = with_more
    world.compare(store, cache)
    assert "in no class" in Page(read_report("index.html")).text
    assert "| in no class | | | | 3 | 3 |" in read_report("report.md")
    assert "| **All** | 300 | 60 | 60 | 10 | 430 |" in read_report("report.md")


def test_nothing_refused_is_said_and_shows_nothing(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.refused_files = []
    world.compare(store, cache)
    page = Page(read_report("index.html"))
    assert "Refused photos\nNone." in page.text
    assert "No photo lies in two classes" in page.text
    assert len(pictures(page)) == len(FIGURES) + 3
    assert not {"refused.csv", "across-classes.csv"} & {link["href"] for link in page.all("a")}
    assert len(rows_of(read_report("refused.csv"))) == 1
    assert not list(store.list("reports/run-1/contact-refused.jpg"))


def test_a_sheet_that_shows_every_refused_photo_is_not_called_a_sample(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.compare(store, cache)  # five duplicates and two that were not decoded
    page = Page(read_report("index.html"))
    assert "What was refused 7 photos" in page.text
    assert "some of each reason" not in page.text
    assert "some of each reason" not in read_report("report.md")


def test_thousands_refused_are_cut_on_the_page_and_whole_beside_it(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    long = "long" * 16_000
    world.refused_files = [refusal(f"{n} {long}", "duplicate") for n in range(300)]
    world.refused_files += [refusal("photos/bear/cut.jpg", "truncated")]
    world.compare(store, cache)
    html = read_report("index.html")
    assert len(html) < 1_300_000
    page = Page(html)
    assert "100 of 301 files" in page.text
    assert "And 201 more: refused.csv" in page.text
    assert "48 of 301 photos, some of each reason" in page.text
    assert "photos/bear/cut.jpg" in page.text
    rows = rows_of(read_report("refused.csv"))[1:]
    assert [row[0] for row in rows] == [row.entry for row in world.refused_files]


def test_identical_and_similar_photos_in_different_classes_are_named(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.refused_files = [
        refusal("photos/bear/x.jpg", "label conflict", "bear", "photos/elk/y.jpg"),
        refusal("photos/elk/y.jpg", "label conflict", "elk", "photos/bear/x.jpg"),
    ]
    world.photo = lambda photo: (
        photo.model_copy(update={"group": "g"}) if photo.entry.endswith("/7.jpg") else photo
    )
    world.compare(store, cache)
    page = Page(read_report("index.html"))
    assert "Identical photos in different classes 1 pair" in page.text
    assert "Near duplicates in different classes 1 group, 3 photos" in page.text
    assert {"refused.csv", "across-classes.csv"} <= {link["href"] for link in page.all("a")}
    assert read_report("summary.json")["data"]["near_duplicate_groups_across_classes"] == 1
    assert rows_of(read_report("across-classes.csv"))[1:] == [
        ["1", name, "test", f"photos/{name}/7.jpg"] for name in ("bear", "cougar", "elk")
    ]


def test_hostile_names_stand_in_the_lists_as_they_are(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.classes = sorted(HOSTILE)
    one, two = HOSTILE[0], HOSTILE[2]
    world.refused_files = [
        refusal(one, "label conflict", world.classes[0], same_as=two),
        refusal(two, "label conflict", world.classes[1], same_as=one),
    ]
    world.photo = lambda photo: photo.model_copy(update={"group": "g"})
    world.compare(store, cache)
    page = Page(read_report("index.html"))
    assert not page.all("script")
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    assert len(pictures(page)) == len(FIGURES) + 4 + 1
    assert any('<script>alert("1")</script>' in (i["alt"] or "") for i in page.all("img"))
    assert page.text.count(one) >= 4
    assert not {"\x01", "\u202e"} & set(page.text)
    assert not {"\x01", "\u202e"} & {c for image in page.all("img") for c in image["alt"] or ""}


def test_the_page_of_very_many_classes_links_to_most_sheets(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.classes = [f"class_{number:03}" for number in range(40)]
    world.test_photos = 2

    def last_are_small(step: str, facts: dict[str, Any]) -> dict[str, Any]:
        if step == "preprocess":
            for name in world.classes[-5:]:
                facts["per_class"][name]["train"] = 1
        return facts

    world.facts = last_are_small
    world.compare(store, cache)
    page = Page(read_report("index.html"))
    inside = [i["alt"] for i in pictures(page) if (i["src"] or "").startswith("data:image/jpeg")]
    assert len(inside) == 1 + 30
    assert [alt for alt in inside if "class_039" in (alt or "")] == ["class_039: 5 photos"]
    links = [link["href"] for link in page.all("a") if (link["href"] or "").startswith("contact-")]
    assert links == [f"contact-{number:03}.jpg" for number in range(25, 35)]
    assert all(list(store.list(f"reports/run-1/{name}")) for name in links)
    assert read_report("report.md").count("(contact-0") == 40


def test_the_summary_has_the_spread_of_sizes_and_shapes(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.photo = lambda photo: (
        photo.model_copy(update={"width": 100, "height": 400})
        if photo.entry.endswith("/7.jpg")
        else photo
    )
    world.compare(store, cache)
    data = read_report("summary.json")["data"]
    assert data["longer_side"] == {
        "smallest": 400, "lower_quartile": 640, "median": 640, "upper_quartile": 640,
        "largest": 640,
    }  # fmt: skip
    assert (data["aspect_ratio"]["smallest"], data["aspect_ratio"]["largest"]) == (0.25, 640 / 480)
    assert "median 640 pixels" in Page(read_report("index.html")).text


def test_names_of_any_length_are_shortened_everywhere_and_whole_in_the_tables(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    long = ["long " * 13_000 + end for end in "abc"]
    world.classes = long
    world.dataset = {"name": "name" * 16_000, "synthetic": False, "note": "note" * 16_000}
    world.test_photos = 5
    world.compare(store, cache)
    page, markdown = read_report("index.html"), read_report("report.md")
    assert len(re.sub(r"data:image/[^\"]*", "", page)) < 100_000
    assert len(markdown) < 60_000
    for text in (Page(page).text, markdown):
        assert not re.search(r"(long ){40}|(name){60}|(note){600}", text)
        assert "long long a" in text
    assert {row[0] for row in rows_of(read_report("classes.csv"))[1:]} == set(long)
    assert [row["name"] for row in read_report("summary.json")["classes"]] == long
    assert len(read_report("summary.json")["title"]) <= 200


def test_a_note_is_one_harmless_paragraph(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    note = "- [x] see\u200f https://a.bc\n1. www.d.ef\u061c, @someone"
    world.dataset = {"name": "", "synthetic": False, "note": note}
    world.compare(store, cache)
    told = r"\- \[x\] see� https\://a.bc 1. www\.d.ef�, @<!-- -->someone"
    assert told in read_report("report.md").splitlines()
    assert not {"\u200f", "\u061c"} & set(Page(read_report("index.html")).text)
