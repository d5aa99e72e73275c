"""The better network against the champion, in the words and the table that page and Markdown share.

The report is written before anything is promoted: it tells what was decided, and why.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.compare.summary import ChampionSummary, Summary
from tasks.compare.wording import (
    NBSP,
    count,
    p_value,
    percent,
    percent_range,
    points,
    points_range,
    utc,
)
from tasks.contract.decision import Duel

_NETWORKS = {"scratch": "from scratch", "transfer": "transfer"}
_FOUND = {
    "challenger": "this run’s network is better",
    "champion": "the champion is better",
    "neither": "not distinguishable",
}


@dataclass(frozen=True)
class AgainstChampion:
    """What the section shows.

    Attributes:
        decision: whether the network is to be promoted, and why.
        champion: which one it was held against; empty if there was none.
        comparison: what the two came to on the same photos; empty if they did not meet.
        left_out: which photos that leaves out, and how many; empty likewise.
        columns: of the table; without a comparison it has no rows.
        rows: each with its title.
    """

    decision: str
    champion: str
    comparison: str
    left_out: str
    columns: tuple[str, str]
    rows: Sequence[tuple[str, str, str]]


def against_champion(summary: Summary) -> AgainstChampion:
    """Put the summary's numbers into words."""
    told = summary.against_champion
    duel = told.duel
    return AgainstChampion(
        decision=_decision(told),
        champion=_champion(told),
        comparison=_comparison(duel) if duel else "",
        left_out=_left_out(duel) if duel else "",
        columns=(f"This run’s network ({_NETWORKS[told.challenger]})", "Champion"),
        rows=_rows(duel) if duel else [],
    )


def _decision(told: ChampionSummary) -> str:
    to_be = "is to be the champion" if told.promotes else "does not become the champion"
    return (
        f"By the rule “{told.rule}” the better network of this run, "
        f"{_NETWORKS[told.challenger]}, {to_be}: {told.reason}."
    )


def _champion(told: ChampionSummary) -> str:
    if not told.champion_promoted:
        return ""
    return f"The champion is {told.champion}, promoted {utc(told.champion_promoted)} UTC."


def _comparison(duel: Duel) -> str:
    interval = (duel.difference_low, duel.difference_high)
    return (
        f"On {count(duel.compared, 'test photo')} that neither has seen in training, the "
        f"difference is {points(duel.difference)} percentage points (95{NBSP}% interval "
        f"{points_range(interval)}; photos that look alike together, "
        f"{points_range((duel.grouped_low, duel.grouped_high))}; exact McNemar "
        f"{p_value(duel.p_value)}): {_FOUND[duel.better]}."
    )


def _left_out(duel: Duel) -> str:
    if not (duel.seen or duel.alike):
        told = f"None of the {duel.test_photos:,} test photos is left out."
    else:
        told = (
            f"{duel.seen + duel.alike:,} of the {duel.test_photos:,} test photos are left out: "
            f"{duel.seen:,} that the champion was trained or validated on, and {duel.alike:,} that "
            "look like one of those."
        )
    if duel.unknown_class:
        told += (
            f" {count(duel.unknown_class, 'compared photo')} of classes that the champion does "
            "not know count against it."
        )
    return told


def _rows(duel: Duel) -> list[tuple[str, str, str]]:
    right = (duel.both + duel.only_challenger, duel.both + duel.only_champion)
    challenger, champion = (f"{number:,} of {duel.compared:,}" for number in right)
    return [
        ("Accuracy", percent(duel.challenger_accuracy), percent(duel.champion_accuracy)),
        (
            f"95{NBSP}% interval (Wilson)",
            percent_range(duel.challenger_low, duel.challenger_high),
            percent_range(duel.champion_low, duel.champion_high),
        ),
        ("Photos right", challenger, champion),
        ("Right where the other is wrong", f"{duel.only_challenger:,}", f"{duel.only_champion:,}"),
    ]
