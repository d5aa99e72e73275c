"""The drill's record: a row for each fault."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One fault.

    Attributes:
        fault: what was done.
        happened: what the logs, Airflow and the store showed of it.
        seconds: from the fault until all went on as before.
        lost: work that had to be done again.
    """

    fault: str
    happened: str
    seconds: float
    lost: str


def table(rows: Sequence[Row]) -> str:
    """As Markdown."""
    lines = ["| fault | what happened | recovered after | lost |", "|---|---|---|---|"]
    lines += [f"| {r.fault} | {r.happened} | {r.seconds:.0f} s | {r.lost} |" for r in rows]
    return "\n".join(lines)
