"""The report's statistics: pure functions of counts, and of answers.

The two networks answer the same photos, so what compares them is paired: McNemar's exact test and
Newcombe's interval use only the photos on which they differ, and how strongly they agree elsewhere.
Both take the photos for independent, which near duplicates are not; the bootstrap draws whole
groups of them, and says nothing of fewer groups than could tell anything.
"""

from math import sqrt
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

CONFIDENCE = 0.95
RESAMPLES = 9999

#: The same answers have the same interval, to the last digit.
_SEED = 20

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
    """Wild bootstrap interval of the accuracies' difference, of whole groups of photos.

    Photos that look alike are right or wrong together, so a group is the unit. Each draw gives
    every group a sign at random, with all of its photos and both networks' answers to each, and the
    interval holds the differences that such draws cannot tell from the measured one: the wild
    cluster bootstrap with the null hypothesis imposed (A. C. Cameron, J. B. Gelbach, D. L. Miller,
    "Bootstrap-based improvements for inference with clustered errors", Review of Economics and
    Statistics 90 (2008) 414-427), inverted. The signs split the groups into two lots, and a draw
    speaks against a difference that lies outside both lots' own; so the limits are order statistics
    of these (J. A. Hartigan, "Using subsample values as typical values", Journal of the American
    Statistical Association 64 (1969) 1303-1317).

    However many groups there are, of whatever sizes, it excludes zero in at most 5 % of the cases
    in which each might as well have favoured the other network (I. A. Canay, J. P. Romano, A. M.
    Shaikh, "Randomization tests under an approximate symmetry assumption", Econometrica 85 (2017)
    1013-1030). Where each photo is a group, this is McNemar's test but for the chance of the draws.

    Five groups or fewer say nothing: -1..1. If the difference is the same in each of more, the
    interval is that point; Newcombe's says then what so few photos can show.

    Args:
        transfer, scratch: on which photos each network was right, shape (n,).
        groups: which group each photo belongs to, shape (n,).
    """
    _, members = np.unique(groups, return_inverse=True)
    photos = np.bincount(members)
    gains = np.rint(np.bincount(members, transfer.astype(np.float64) - scratch)).astype(np.int64)
    # Groups of the same gain and size are alike: how many of them a lot has is all that matters.
    kinds, counts = np.unique(np.stack([gains, photos]), axis=1, return_counts=True)
    random = np.random.default_rng(_SEED)
    lot = np.zeros((2, RESAMPLES), dtype=np.int64)
    for kind, count in zip(kinds.T, counts, strict=True):
        lot += np.outer(kind, random.binomial(count, 0.5, RESAMPLES))
    whole = kinds @ counts
    gain, size = np.stack([lot, whole[:, None] - lot], axis=1)
    split = np.all(size > 0, axis=0)
    differences = gain / np.maximum(size, 1)
    lower = np.sort(np.where(split, differences.min(axis=0), -1.0))
    upper = np.sort(np.where(split, differences.max(axis=0), 1.0))
    # The groups as they are count as one more draw.
    beyond = round((1 - CONFIDENCE) * (RESAMPLES + 1))
    return Interval(float(lower[beyond - 1]), float(upper[-beyond]))


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
