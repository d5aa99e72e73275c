"""Which decoded photos are used: copies are settled whatever the order they come in."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contract.archive import Entry, Survey
from tasks.contract.config import PreprocessOptions
from tasks.contract.errors import InputError
from tasks.preprocess.records import Place
from tasks.preprocess.usable import Usable, require_usable, settle_exact_duplicates


def usable(entry: str, class_name: str, photo: str) -> Usable:
    return Usable(entry, class_name, photo, 9, 9, 0, Place("photos-00000.rgb", 0, 0))


@given(
    st.lists(
        st.builds(usable, st.text(), st.sampled_from("ab"), st.sampled_from("uvwxyz")),
        unique_by=lambda photo: photo.entry,
    )
)
def test_of_equal_photos_one_stays_unless_their_labels_contradict(photos: list[Usable]) -> None:
    kept, refused = settle_exact_duplicates(photos)
    classes, entries = defaultdict(set), defaultdict(list)
    for row in photos:
        classes[row.photo].add(row.class_name)
        entries[row.photo].append(row.entry)
    assert {row.entry for row in kept} == {
        min(names) for photo, names in entries.items() if len(classes[photo]) == 1
    }
    assert len(kept) + len(refused) == len(photos)
    by_entry = {row.entry: row for row in photos}
    for refusal in refused:
        row = by_entry[refusal.entry]
        conflict = len(classes[row.photo]) > 1
        assert refusal.reason == ("label conflict" if conflict else "duplicate")
        assert refusal.same_as != refusal.entry
        assert refusal.same_as in entries[row.photo]
        assert repr(refusal.same_as) in refusal.detail


def test_of_thousands_of_small_classes_one_line_names_ten() -> None:
    entries = [Entry(f"{n:04}/1.jpg", f"{n:04}", 1, n) for n in range(2000)]
    with pytest.raises(InputError, match=r": '0000' has 0, .*'0009' has 0 and 1,990 more: add pho"):
        require_usable(Survey(entries, []), [], [], PreprocessOptions())
