"""Near duplicates across classes: every such group, the likeliest mistakes first."""

from tasks.compare.across_classes import groups_across_classes
from tasks.contract.photos import Photo


def photo(entry: str, label: int, group: str) -> Photo:
    return Photo(
        photo=entry, entry=entry, class_name="abc"[label], label=label, split="train", group=group,
        width=9, height=9, shard="", position=0, crc32=0,
    )  # fmt: skip


def test_only_groups_of_several_classes_are_told_small_ones_first() -> None:
    photos = [
        photo("alone", 0, "1"),
        *(photo(f"same {n}", 0, "2") for n in range(3)),
        *(photo(f"large {n}", n % 2, "3") for n in range(4)),
        photo("z", 2, "4"),
        photo("y", 1, "4"),
    ]
    groups = groups_across_classes(photos)
    assert [[row.entry for row in group] for group in groups] == [
        ["y", "z"],
        ["large 0", "large 2", "large 1", "large 3"],
    ]
    assert groups_across_classes(photos[:4]) == []
