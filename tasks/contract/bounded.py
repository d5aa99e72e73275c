"""Kinds of values in documents that anybody may have written who may write into the bucket.

Within these bounds a value can be reckoned with and shown; a document with another is refused.
"""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field, FiniteFloat


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("no time of this calendar in UTC") from None


#: In UTC, and comparable with any other.
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
#: Of a whole, 0..1.
Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
#: Of two shares, -1..1.
Difference = Annotated[FiniteFloat, Field(ge=-1, le=1)]
