"""The watcher of an archive, against the real store: what is an event, and that none is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from embedded.ports import free_ports
from tasks.contract.store import Store
from tests.plugins.conftest import connection
from wildlife.triggers import archive
from wildlife.triggers.archive import ArchiveTrigger

KEY = "datasets/pets.zip"


class State(dict[str, Any]):
    """The asset's state, which outlives a triggerer as Airflow's database does."""

    async def aget(self, key: str) -> Any:
        return self.get(key)

    async def aset(self, key: str, value: Any) -> None:
        self[key] = value


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_PERSISTED_SECONDS", 0.05)


class Counted(ArchiveTrigger):
    """Counts how often it has looked, so that a test need not guess how fast the machine is."""

    looks = 0

    def _version(self) -> str:
        try:
            return super()._version()
        finally:
            self.looks += 1


def events(state: State, *happenings: Callable[[], object], settle: float = 0.3) -> list[Any]:
    """What a triggerer is told while one thing after the other happens.

    Each happens after 1.2 s, in the end of which the trigger has looked thrice.
    """

    async def watch() -> list[Any]:
        trigger = Counted(key=KEY, poll_seconds=0.05, settle_seconds=settle)
        trigger.asset_state_store = state
        told: list[Any] = []

        async def listen(stream: AsyncIterator[Any]) -> None:
            async for event in stream:
                told.append(event.payload)

        listening = asyncio.create_task(listen(trigger.run()))
        for happening in (lambda: None, *happenings):
            happening()
            await asyncio.sleep(1.2)
            looks = trigger.looks
            while trigger.looks < looks + 3 and not listening.done():
                await asyncio.sleep(0.02)
        assert not listening.done(), "it died"
        listening.cancel()
        return told

    return asyncio.run(watch())


def test_what_lies_there_at_first_is_no_event_and_another_archive_is(connected: Store) -> None:
    connected.write(KEY, b"one")
    state = State()
    assert events(state) == []
    told = events(state, lambda: connected.write(KEY, b"two"))
    assert [event["key"] for event in told] == [KEY]


def test_the_first_archive_under_an_empty_key_is_an_event(connected: Store) -> None:
    assert len(events(State(), lambda: connected.write(KEY, b"one"))) == 1


def test_neither_the_same_bytes_again_nor_a_removal_is_an_event(connected: Store) -> None:
    connected.write(KEY, b"one")
    again = (lambda: connected.delete(KEY), lambda: connected.write(KEY, b"one"))
    assert events(State(), *again) == []


def test_a_burst_of_uploads_is_one_event_once_it_has_settled(connected: Store) -> None:
    uploads = [lambda n=n: connected.write(KEY, b"x" * n) for n in (1, 2, 3)]
    told = events(State(), *uploads, *[lambda: None] * 4, settle=4.0)
    head = connected.head(KEY)
    assert head is not None
    assert [event["version"] for event in told] == [head.version]


def test_a_change_while_no_triggerer_ran_is_told_once_by_the_next(connected: Store) -> None:
    connected.write(KEY, b"one")
    state = State()
    assert events(state) == []
    connected.write(KEY, b"two")
    assert len(events(state)) == 1
    assert events(state) == []


def test_a_store_that_is_away_is_tried_on_and_loses_nothing(
    connected: Store, store_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    connected.write(KEY, b"one")
    state = State()
    assert events(state) == []
    down = store_env | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_ports(1)}"}

    def comes_back() -> None:
        monkeypatch.setenv("AIRFLOW_CONN_WILDLIFE_STORE", connection(store_env))

    connected.write(KEY, b"two")
    monkeypatch.setenv("AIRFLOW_CONN_WILDLIFE_STORE", connection(down))
    assert events(state) == []
    assert len(events(state, comes_back, lambda: None, lambda: None, lambda: None)) == 1
