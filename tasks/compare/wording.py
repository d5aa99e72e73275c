"""Numbers as people read them, and the one sentence that answers the report's question."""

from datetime import UTC, datetime

from tasks.contract.statistics import (
    Interval,
    PairedCounts,
    Verdict,
    mcnemar_exact,
    paired_interval,
)

#: Keeps a number on one line with its unit.
NBSP = "\u00a0"
MINUS = "\u2212"


def count(number: int, noun: str, nouns: str = "") -> str:
    """ "1 photo", "2,100 photos"; ``nouns`` is the plural, if it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def percent(share: float, digits: int = 1) -> str:
    """0.9612 as "96.1 %"."""
    return f"{100 * share:.{digits}f}{NBSP}%"


def percent_range(low: float, high: float, digits: int = 1) -> str:
    """0.92, 0.98 as "92.0 to 98.0 %"."""
    return f"{100 * low:.{digits}f} to {percent(high, digits)}"


def as_printed(share: float) -> float:
    """A share as ``percent`` prints it: what a sentence compares is what it shows."""
    return float(f"{100 * share:.1f}") / 100


def points(difference: float, digits: int = 1) -> str:
    """A difference of shares in percentage points, with its sign: 0.392 as "+39.2"."""
    text = f"{abs(100 * difference):.{digits}f}"
    if not float(text):
        return text
    return ("+" if difference > 0 else MINUS) + text


def points_range(interval: tuple[float, float]) -> str:
    """Two differences, likewise: "+31.0 to +46.4". Where they exclude zero, one can see it."""
    low, high = interval
    digits = _digits_beside_zero(low, high)
    return f"{points(low, digits)} to {points(high, digits)}"


def _digits_beside_zero(low: float, high: float) -> int:
    """Of percentage points: so many that an end does not look like zero if zero is excluded."""
    if low <= 0 <= high:
        return 1
    digits, nearest = 1, 100 * min(abs(low), abs(high))
    while not float(f"{nearest:.{digits}f}"):
        digits += 1
    return digits


def decimal(number: float) -> str:
    """A loss with three decimals below one and two above; what exploded as a power of ten."""
    if 0 < number < 0.0005:
        return f"<{NBSP}0.001"
    if number >= 1e5:
        return f"{number:.1e}"
    return f"{number:.3f}" if number < 1 else f"{number:.2f}"


def duration(seconds: float) -> str:
    """Seconds as "8.3 s", "41 s", "12 min 40 s" or "3 h 05 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f}{NBSP}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{NBSP}s"
    if whole < 3600:
        return f"{whole // 60}{NBSP}min {whole % 60:02d}{NBSP}s"
    minutes = round(seconds / 60)
    return f"{minutes // 60}{NBSP}h {minutes % 60:02d}{NBSP}min"


def rate(per_second: float) -> str:
    """A rate with as many digits as it deserves."""
    return f"{per_second:,.0f}" if per_second >= 99.5 else f"{per_second:.1f}"


def p_value(p: float) -> str:
    """ "p < 0.001" or "p = 0.032"; close to 0.05, with as many digits as tell the side of it."""
    if p < 0.001:
        return f"p{NBSP}<{NBSP}0.001"
    digits = 3 if p < 0.1 else 2
    while float(f"{p:.{digits}f}") == 0.05 != p:
        digits += 1
    return f"p{NBSP}={NBSP}{p:.{digits}f}"


def size(count: int) -> str:
    """Bytes in the largest unit that fits, by thousands."""
    number = float(count)
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f}{NBSP}{unit}" if unit == "bytes" else f"{number:.1f}{NBSP}{unit}"
        number /= 1000
    return f"{number:.1f}{NBSP}GB"


def utc(moment: datetime) -> str:
    """A time to the minute, in UTC wherever it was told; one without a zone is in UTC already."""
    return f"{moment.astimezone(UTC) if moment.tzinfo else moment:%Y-%m-%d %H:%M}"


def statement(
    counts: PairedCounts,
    grouped: Interval,
    verdict: Verdict,
    seconds: tuple[float | None, float | None],
    devices: tuple[str, str],
) -> str:
    """What transfer learning bought and cost, no stronger than the numbers are.

    Args:
        grouped: the difference's interval that draws near duplicates together.
        seconds: training time of transfer and from scratch.
        devices: where each was trained, likewise.
    """
    difference, interval = counts.difference, paired_interval(counts)
    digits = _digits_beside_zero(*interval)
    scratch, transfer = "training from scratch", "transfer learning"
    if verdict == "not distinguishable":
        disputed = (
            "" if interval.holds_zero else f"near duplicates together, {_together(grouped)}; "
        )
        found = (
            f"{transfer} and {scratch} are not distinguishable: "
            f"the difference is {points(difference, digits)} percentage points "
            f"(95{NBSP}% interval {points_range(interval)}; "
            f"{disputed}exact McNemar {p_value(mcnemar_exact(counts))})"
        )
    elif verdict == "transfer is better":
        found = _more_often(transfer, scratch, difference, interval)
    else:
        mirrored = Interval(-interval.high, -interval.low)
        found = _more_often(scratch, transfer, -difference, mirrored)
    photos = sum(counts)
    where = "On the only test photo" if photos == 1 else f"On the same {photos:,} test photos"
    return f"{where}, {found}; {_cost(seconds, devices)}."


def _together(grouped: Interval) -> str:
    nothing = grouped == (-1.0, 1.0)
    return "too few unlike photos to say" if nothing else points_range(grouped)


def _more_often(better: str, worse: str, gain: float, interval: Interval) -> str:
    digits = _digits_beside_zero(*interval)
    return (
        f"{better} was right {100 * gain:.{digits}f} percentage points more often than {worse} "
        f"(95{NBSP}% interval {100 * interval.low:.{digits}f} to "
        f"{100 * interval.high:.{digits}f})"
    )


def _cost(seconds: tuple[float | None, float | None], devices: tuple[str, str]) -> str:
    transfer, scratch = ("an unknown time" if s is None else duration(s) for s in seconds)
    if devices[0] == devices[1]:
        return f"training took {transfer} with transfer and {scratch} from scratch, on {devices[0]}"
    return (
        f"training took {transfer} with transfer on {devices[0]} "
        f"and {scratch} from scratch on {devices[1]}"
    )
