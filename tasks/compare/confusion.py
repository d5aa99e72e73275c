"""Which classes a network takes for which."""

from collections.abc import Sequence

from tasks.compare.part import Part
from tasks.contract.training import Metrics

#: Pairs in the summary. With 200 classes there are 39,800, most of them of a single photo.
_MOST = 10


class ConfusedPair(Part):
    """Photos of one class that the network named as another.

    Attributes:
        photos: how many test photos.
        share: of the true class's test photos, 0..1.
    """

    true_class: str
    named: str
    photos: int
    share: float


def most_confused(metrics: Metrics, classes: Sequence[str]) -> list[ConfusedPair]:
    """The ten pairs with the most photos; of as many, those that take more of their class."""
    pairs = [
        ConfusedPair(
            true_class=classes[true], named=classes[named], photos=photos, share=photos / n
        )
        for true, row in enumerate(metrics.confusion)
        if (n := sum(row))
        for named, photos in enumerate(row)
        if photos and named != true
    ]
    return sorted(pairs, key=lambda pair: (-pair.photos, -pair.share))[:_MOST]
