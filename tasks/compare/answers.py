"""What each network answered to each test photo."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.compare.evidence import Arm, Evidence
from tasks.contract.photos import Photo


@dataclass(frozen=True)
class Answer:
    """One network's answer to one photo. Probabilities lie in 0..1.

    Attributes:
        class_name, probability: the class it finds most probable, and how probable.
        true_probability: how probable it finds the true class.
    """

    class_name: str
    probability: float
    true_probability: float
    right: bool


@dataclass(frozen=True)
class AnsweredPhoto:
    """A test photo and both answers to it."""

    photo: Photo
    scratch: Answer
    transfer: Answer

    @property
    def outcome(self) -> str:
        """Which of the networks are right, in words."""
        if self.scratch.right == self.transfer.right:
            return "both right" if self.scratch.right else "both wrong"
        return "only transfer right" if self.transfer.right else "only scratch right"


def answered_photos(evidence: Evidence) -> list[AnsweredPhoto]:
    """Every test photo, sorted by ``photo``."""
    photos = evidence.test_photos
    answers = zip(
        photos, _answers(evidence.scratch, photos), _answers(evidence.transfer, photos), strict=True
    )
    return [AnsweredPhoto(*row) for row in answers]


def _answers(arm: Arm, photos: Sequence[Photo]) -> list[Answer]:
    return [
        Answer(
            class_name=arm.facts.classes[label],
            probability=float(probabilities[label]),
            true_probability=float(probabilities[photo.label]),
            right=bool(label == photo.label),
        )
        for photo, label, probabilities in zip(
            photos, arm.predicted, arm.probabilities, strict=True
        )
    ]
