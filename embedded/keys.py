"""Random keys of the embedded stack, each made once and readable by its owner alone."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from embedded.process import StackError


def keys_of(home: Path, name: str, make: Callable[[], dict[str, str]]) -> dict[str, str]:
    """The keys kept in ``<home>/secrets/<name>.json``, made now if there are none yet."""
    file = home / "secrets" / f"{name}.json"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = file.with_suffix(".new")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
            json.dump(make(), out)
        temporary.replace(file)
    try:
        keys: dict[str, str] = json.loads(file.read_text())
    except ValueError:
        raise StackError(
            f"{file} is damaged: restore it, or delete {home} to begin anew without its data"
        ) from None
    return keys
