"""What the step ``champion`` came to: how both networks did, and whether one is to be promoted."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Duel(_Part):
    """How both did. Accuracies in 0..1; the difference is the challenger's minus the champion's.

    Attributes:
        test_photos: of the run; those the champion has seen, or that look like one that it has,
            are left out.
        unknown_class: compared photos of classes that the champion does not know: it is wrong.
        challenger_low, challenger_high, champion_low, champion_high: Wilson's intervals, 95 %.
        difference_low, difference_high: Newcombe's interval, 95 %.
        grouped_low, grouped_high: that of whole groups of near duplicates.
        p_value: of McNemar's exact test.
        better: by both intervals and McNemar's test.
    """

    test_photos: int
    seen: int
    alike: int
    compared: int
    unknown_class: int
    challenger_accuracy: float
    challenger_low: float
    challenger_high: float
    champion_accuracy: float
    champion_low: float
    champion_high: float
    both: int
    only_challenger: int
    only_champion: int
    neither: int
    difference: float
    difference_low: float
    difference_high: float
    grouped_low: float
    grouped_high: float
    p_value: float
    better: Literal["challenger", "champion", "neither"]


class Decision(_Part):
    """All that the step ``champion`` says.

    Attributes:
        challenger: the step that trained the run's better network, by its accuracy in the test.
        champion: whom it was compared with, for people; empty if there is no champion yet.
        champion_promoted: since when that is the champion.
        newer: whether the challenger's photos are of another archive, prepared later; None without
            a champion.
        duel: None if they could not be compared, and ``trouble`` says why.
        rule: the option ``promote``.
        promotes: whether the challenger is to be the champion, and ``reason`` why, in words.
        situation: digest of what of ``champion.json`` this rests on.
    """

    challenger: str
    champion: str
    champion_promoted: datetime | None
    newer: bool | None
    duel: Duel | None
    trouble: str
    rule: str
    promotes: bool
    reason: str
    situation: str

    @property
    def in_one_line(self) -> str:
        """The reason, with the numbers that it rests on."""
        duel = self.duel
        if duel is None:
            return f"{self.reason}; rule {self.rule!r}"
        return (
            f"{self.reason}: {duel.challenger_accuracy:.4f} of {duel.compared} test photos right, "
            f"the champion {duel.champion_accuracy:.4f}; rule {self.rule!r}"
        )
