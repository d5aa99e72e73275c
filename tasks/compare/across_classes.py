"""Photos that look alike and yet lie in different classes: the first place to look for a wrong
label."""

from collections import defaultdict
from collections.abc import Iterable

from tasks.contract.photos import Photo


def groups_across_classes(photos: Iterable[Photo]) -> list[list[Photo]]:
    """The near-duplicate groups with photos of more than one class, by class and entry.

    Small groups come first: a pair is two sightings of one animal, while a large group tends to be
    placeholders or plain backgrounds that only a hash finds alike.
    """
    groups: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        groups[photo.group].append(photo)
    across = [
        sorted(group, key=lambda photo: (photo.label, photo.entry))
        for group in groups.values()
        if len({photo.label for photo in group}) > 1
    ]
    return sorted(across, key=lambda group: (len(group), group[0].entry))
