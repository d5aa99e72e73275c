"""Watches an archive in the bucket, and says when another one lies there."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from tasks.contract.errors import StepError
from tasks.contract.store import Store, StoreSettings
from wildlife.connection import store_environment

#: Where the watermark lies in the state of the asset.
WATERMARK = "version"
#: The triggerer writes an event into Airflow's database within a second or two after it was
#: yielded. The watermark moves after that, so a triggerer that is killed in between tells of the
#: archive twice, which costs a run of cache hits, and never not at all.
_PERSISTED_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 300.0


class ArchiveTrigger(BaseEventTrigger):
    """Fires once for each new archive under a key, after it lay there unchanged for a while.

    What lies there when it is first watched is no event, and neither is a removal. A version is
    told by ETag and size, so the same bytes put again are no event, either. Where it was is kept in
    the asset's state, so what changes while no triggerer runs is told by the next.
    """

    def __init__(self, *, key: str, poll_seconds: float, settle_seconds: float) -> None:
        """Args:

        key: of the archive in the bucket.
        poll_seconds: between two looks.
        settle_seconds: for so long a new archive must lie there unchanged.
        """
        super().__init__()
        self.key = key
        self.poll_seconds = poll_seconds
        self.settle_seconds = settle_seconds
        self._store: Store | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "key": self.key,
                "poll_seconds": self.poll_seconds,
                "settle_seconds": self.settle_seconds,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire for ever; a store or an Airflow that does not answer is tried again, ever slower."""
        told = saved = await self._unfailing_load()
        candidate, since, failures = "", 0.0, 0
        while True:
            try:
                if told is not None and told != saved:
                    await self._save(told)
                    saved = told
                version = await asyncio.to_thread(self._version)
            except (StepError, AirflowRuntimeError, OSError) as error:
                failures += 1
                self._complain(error, failures)
                await asyncio.sleep(self._pause(failures))
                continue
            if failures:
                self.log.info("%s is watched again", self.key)
                failures = 0
            if version != candidate:
                candidate, since = version, time.monotonic()
            if told is None:
                told = version
                continue
            is_settled = time.monotonic() - since >= self.settle_seconds
            if version and version != told and is_settled:
                yield TriggerEvent({"key": self.key, "version": version})
                told = version
                await asyncio.sleep(_PERSISTED_SECONDS)
                continue
            await asyncio.sleep(self.poll_seconds)

    async def _unfailing_load(self) -> str | None:
        """The version that was told last; None if the archive was never watched."""
        failures = 0
        while True:
            try:
                kept: Any = await self._state().aget(WATERMARK)
                return None if kept is None else str(kept["version"])
            except (AirflowRuntimeError, OSError) as error:
                failures += 1
                self._complain(error, failures)
                await asyncio.sleep(self._pause(failures))

    async def _save(self, version: str) -> None:
        await self._state().aset(WATERMARK, {"version": version})

    def _state(self) -> Any:
        return self.asset_state_store

    def _complain(self, error: Exception, failures: int) -> None:
        if failures == 1:
            self.log.warning("%s cannot be watched, trying on: %s", self.key, error)

    def _pause(self, failures: int) -> float:
        """Seconds to the next try: twice as many after each, up to five minutes."""
        slower = self.poll_seconds * 2.0 ** min(failures, 10)
        return max(self.poll_seconds, min(slower, _LONGEST_PAUSE_SECONDS))

    def _version(self) -> str:
        """What lies under the key now; empty if nothing does."""
        settings = StoreSettings.from_environment(store_environment())
        if self._store is None or self._store.settings != settings:  # keys may have been rotated
            self._store = Store(settings, patient=False)
        head = self._store.head(self.key)
        return head.version if head else ""
