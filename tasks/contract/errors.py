"""Failures a person can act on. Each is one line that names the thing and the remedy.

The exit codes are those of BSD ``sysexits.h``, so that whoever launched the step (Airflow, a
shell, a container engine) knows whether trying again can help without reading the log.
"""

import os
from collections.abc import Sequence


class StepError(Exception):
    """A failure with a cause the reader can mend.

    The message is one line: what is wrong with what, then what to do about it.
    """

    exit_code: int = os.EX_SOFTWARE
    retryable: bool = False


class ConfigurationError(StepError):
    """An option is unknown or out of range, or a setting is missing."""

    exit_code = os.EX_CONFIG


class InputError(StepError):
    """The archive, the photos or the weights cannot be used as they are."""

    exit_code = os.EX_DATAERR


class AccessDeniedError(StepError):
    """The object store refused the credentials."""

    exit_code = os.EX_NOPERM


class UnavailableError(StepError):
    """A server did not answer or an object is not there yet; trying again later can help."""

    exit_code = os.EX_TEMPFAIL
    retryable = True


#: Exit codes after which a retry of the same command cannot succeed.
FINAL_EXIT_CODES = frozenset(
    error.exit_code for error in (ConfigurationError, InputError, AccessDeniedError)
)

#: The most things that one line names.
_NAMED = 10


def listed(names: Sequence[str]) -> str:
    """The first of some names, and how many there are besides: a line must stay one to read."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
