"""The page of archives: every key that the trigger form may want, and nothing that it may not."""

import re

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from tasks.contract.store import Store
from wildlife.pages.archives import size_in_words


def keys_on(page: str) -> list[str]:
    return re.findall(r'<code class="copyable">(.*?)</code>', page)


def test_archives_are_listed_with_the_key_that_the_form_wants(
    viewer: TestClient, connected: Store
) -> None:
    connected.write("datasets/oregon-wildlife.zip", b"x" * 2_340_000)
    connected.write("datasets/birds/2026.tar.zst", b"x" * 12)
    connected.write("datasets/", b"")  # a folder, as some clients make it
    connected.write("weights/mine.weights.h5", b"x")
    text = viewer.get("/wildlife/archives").text
    assert set(keys_on(text)) == {"datasets/oregon-wildlife.zip", "datasets/birds/2026.tar.zst"}
    assert "<td>2.34 MB</td>" in text
    assert "<td>12 bytes</td>" in text
    assert re.search(r"<td>20\d\d-\d\d-\d\d \d\d:\d\d UTC</td>", text)


def test_the_newest_archive_comes_first(viewer: TestClient, connected: Store) -> None:
    """The store tells times by the second, so equal ones may come in any order."""
    connected.write("datasets/a.zip", b"x")
    first = next(connected.list("datasets/")).last_modified
    newest = ""
    while not newest:
        connected.write("datasets/b.zip", b"x")
        changed = {head.key: head.last_modified for head in connected.list("datasets/")}
        newest = "datasets/b.zip" if changed["datasets/b.zip"] != first else ""
    assert keys_on(viewer.get("/wildlife/archives").text) == ["datasets/b.zip", "datasets/a.zip"]


def test_a_key_is_text_and_not_markup(viewer: TestClient, connected: Store) -> None:
    connected.write('datasets/<img src="x">.zip', b"x")
    text = viewer.get("/wildlife/archives").text
    assert "<img" not in text
    assert keys_on(text) == ["datasets/&lt;img src=&#34;x&#34;&gt;.zip"]


def test_a_bucket_without_archives_says_where_they_belong(
    viewer: TestClient, connected: Store
) -> None:
    answer = viewer.get("/wildlife/archives")
    assert answer.status_code == 200
    assert "under a key that begins with <code>datasets/</code>" in " ".join(answer.text.split())


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1 kB"),
        (999_600, "1 MB"),
        (4_170_000_000, "4.17 GB"),
        (5_600_000, "5.6 MB"),
        (123_400_000, "123 MB"),
    ],
)
def test_a_size_has_three_digits_and_a_unit(size: int, words: str) -> None:
    assert size_in_words(size) == words


@given(st.integers(0, 10**15))
def test_a_size_in_words_is_the_size_within_half_a_percent(size: int) -> None:
    number, unit = size_in_words(size).split()
    meant = float(number) * 1000 ** ["bytes", "kB", "MB", "GB", "TB"].index(unit)
    assert abs(meant - size) <= 0.005 * size
