"""The report's statistics: pure functions of counts.

The two networks answer the same photos, so what compares them is paired: McNemar's exact test and
Newcombe's interval use only the photos on which they differ, and how strongly they agree elsewhere.
"""

from math import sqrt
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

CONFIDENCE = 0.95

Verdict = Literal["transfer is better", "scratch is better", "not distinguishable"]


class Interval(NamedTuple):
    low: float
    high: float


class PairedCounts(NamedTuple):
    """On how many photos both, one or none of the networks were right."""

    both: int
    only_transfer: int
    only_scratch: int
    neither: int

    @classmethod
    def of(cls, transfer: NDArray[np.bool_], scratch: NDArray[np.bool_]) -> "PairedCounts":
        """Count two networks' successes on the same photos, both of shape (n,)."""
        return cls(
            both=int(np.sum(transfer & scratch)),
            only_transfer=int(np.sum(transfer & ~scratch)),
            only_scratch=int(np.sum(~transfer & scratch)),
            neither=int(np.sum(~transfer & ~scratch)),
        )

    @property
    def difference(self) -> float:
        """Transfer's accuracy minus that from scratch, -1..1."""
        return (self.only_transfer - self.only_scratch) / sum(self)


def wilson_interval(successes: int, trials: int) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927; no continuity correction)."""
    interval = binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(interval.low), float(interval.high))


def paired_interval(counts: PairedCounts) -> Interval:
    """Newcombe's interval of the difference between two paired proportions.

    Method 10 of R. G. Newcombe, "Improved confidence intervals for the difference between binomial
    proportions based on paired data", Statistics in Medicine 17 (1998) 2635-2650: Wilson's
    intervals of both proportions, squared and added with a correction for their correlation. It
    stays within -1..1 and does not collapse when few photos, or none, divide the networks.
    """
    n = sum(counts)
    transfer, scratch = counts.both + counts.only_transfer, counts.both + counts.only_scratch
    p, q = transfer / n, scratch / n
    p_low, p_high = wilson_interval(transfer, n)
    q_low, q_high = wilson_interval(scratch, n)
    phi = _phi(counts, transfer, scratch, n)

    def reach(one: float, other: float) -> float:
        return sqrt(max(0.0, one**2 - 2 * phi * one * other + other**2))

    return Interval(
        counts.difference - reach(p - p_low, q_high - q),
        counts.difference + reach(p_high - p, q - q_low),
    )


def _phi(counts: PairedCounts, transfer: int, scratch: int, n: int) -> float:
    """The correlation of the two successes, Newcombe's way: continuity-corrected if positive."""
    margins = transfer * (n - transfer) * scratch * (n - scratch)
    if margins == 0:
        return 0.0
    agreement = float(counts.both * counts.neither - counts.only_transfer * counts.only_scratch)
    if agreement > 0:
        agreement = max(agreement - n / 2, 0.0)
    return agreement / sqrt(margins)


def mcnemar_exact(counts: PairedCounts) -> float:
    """Two-sided p-value that both networks are equally often right (McNemar, exact binomial).

    One when no photo divides them.
    """
    divided = counts.only_transfer + counts.only_scratch
    return float(binomtest(counts.only_transfer, divided).pvalue) if divided else 1.0


def verdict_of(counts: PairedCounts) -> Verdict:
    """Which network is better, if interval and test both say so at the 5 % level."""
    low, high = paired_interval(counts)
    if low <= 0.0 <= high or mcnemar_exact(counts) >= 1 - CONFIDENCE:
        return "not distinguishable"
    return "transfer is better" if counts.difference > 0 else "scratch is better"
