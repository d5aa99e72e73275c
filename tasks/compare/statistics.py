"""The report's statistics: pure functions of counts, and of answers.

The two networks answer the same photos, so what compares them is paired: McNemar's exact test and
Newcombe's interval use only the photos on which they differ, and how strongly they agree elsewhere.
Both take the photos for independent, which near duplicates are not; the bootstrap draws whole
groups of them.
"""

from math import sqrt
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, bootstrap

CONFIDENCE = 0.95
RESAMPLES = 9999

#: The same answers have the same interval, to the last digit.
_SEED = 20
#: Groups drawn at once, whatever their number: 16 MB of two arrays.
_DRAWN_AT_ONCE = 1_000_000

Verdict = Literal["transfer is better", "scratch is better", "not distinguishable"]


class Interval(NamedTuple):
    low: float
    high: float

    @property
    def holds_zero(self) -> bool:
        return self.low <= 0.0 <= self.high


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


def unpaired_interval(successes: int, trials: int, other: int, other_trials: int) -> Interval:
    """Newcombe's interval of a proportion minus an independent one.

    Method 10 of R. G. Newcombe, "Interval estimation for the difference between independent
    proportions", Statistics in Medicine 17 (1998) 873-890: Wilson's intervals, squared and added.
    """
    p, q = successes / trials, other / other_trials
    p_low, p_high = wilson_interval(successes, trials)
    q_low, q_high = wilson_interval(other, other_trials)
    return Interval(
        p - q - sqrt((p - p_low) ** 2 + (q_high - q) ** 2),
        p - q + sqrt((p_high - p) ** 2 + (q - q_low) ** 2),
    )


def grouped_interval(
    transfer: NDArray[np.bool_], scratch: NDArray[np.bool_], groups: NDArray[np.str_]
) -> Interval:
    """Bootstrap interval of the accuracies' difference that draws whole groups of photos.

    Photos that look alike are right or wrong together, so a group is the unit that is drawn with
    replacement, with all of its photos and with both networks' answers to each (C. A. Field, A. H.
    Welsh, "Bootstrapping clustered data", Journal of the Royal Statistical Society B 69 (2007)
    369-390). Bias-corrected and accelerated: B. Efron, "Better bootstrap confidence intervals",
    Journal of the American Statistical Association 82 (1987) 171-185.

    A single group says nothing: -1..1. If the difference is the same in each group, so is every
    draw's, and the interval is that point; Newcombe's says then what so few photos can show.

    Args:
        transfer, scratch: on which photos each network was right, shape (n,).
        groups: which group each photo belongs to, shape (n,).
    """
    _, members = np.unique(groups, return_inverse=True)
    photos = np.bincount(members)
    gains = np.bincount(members, transfer.astype(np.float64) - scratch)
    if len(photos) == 1:
        return Interval(-1.0, 1.0)
    each = gains / photos
    if np.all(each == each[0]):
        return Interval(float(each[0]), float(each[0]))
    interval = bootstrap(
        (gains, photos),
        lambda gain, n, axis: gain.sum(axis=axis) / n.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, _DRAWN_AT_ONCE // len(photos)),
        confidence_level=CONFIDENCE,
        method="BCa",
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return Interval(float(interval.low), float(interval.high))


def mcnemar_exact(counts: PairedCounts) -> float:
    """Two-sided p-value that both networks are equally often right (McNemar, exact binomial).

    One when no photo divides them.
    """
    divided = counts.only_transfer + counts.only_scratch
    return float(binomtest(counts.only_transfer, divided).pvalue) if divided else 1.0


def verdict_of(counts: PairedCounts, grouped: Interval) -> Verdict:
    """Which network is better, if both intervals and the test say so at the 5 % level.

    Args:
        grouped: ``grouped_interval`` of the answers that were counted.
    """
    doubtful = (
        paired_interval(counts).holds_zero
        or grouped.holds_zero
        or mcnemar_exact(counts) >= 1 - CONFIDENCE
    )
    if doubtful:
        return "not distinguishable"
    return "transfer is better" if counts.difference > 0 else "scratch is better"
