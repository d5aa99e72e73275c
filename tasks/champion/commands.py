"""``python -m tasks champion show`` and ``rollback``."""

import getpass
import socket

from tasks.contract.champion import Champion, Champions, read_champions, roll_back
from tasks.contract.store import Store


def show(store: Store) -> None:
    """Print the champion, those before it, and those that people turned down."""
    champions, _ = read_champions(store)
    _print(store, champions)


def rollback(store: Store, why: str) -> None:
    """Take the champion back and print who is it now; ``champion.json`` says who did so."""
    _print(store, roll_back(store, f"{_user()}@{socket.gethostname()}", why))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


def _print(store: Store, champions: Champions) -> None:
    if champions.current is None:
        print("There is no champion yet.")
    else:
        print(f"Champion: {_line(champions.current)}")
        print(f"  weights: {store.uri(champions.current.training.key)}")
    for champion in champions.champions[1:]:
        print(f"Before:   {_line(champion)}")
    for taken in champions.withdrawn:
        said = f": {taken.why}" if taken.why else ""
        print(f"Withdrawn: {taken.champion.name}, {taken.when:%Y-%m-%d %H:%M} by {taken.who}{said}")
    for one in champions.rejected:
        name = f"{one.step} of run {one.run_id}"
        print(f"Rejected: {name}, {one.when:%Y-%m-%d %H:%M} by {one.who}")


def _line(champion: Champion) -> str:
    return f"{champion.name}, {champion.promoted:%Y-%m-%d %H:%M} UTC: {champion.reason}"
