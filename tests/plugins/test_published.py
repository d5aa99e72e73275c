"""What the nodes publish inside Airflow: the champion only by the run that promoted it."""

from typing import Any

import pytest
from airflow.sdk.execution_time.context import OutletEventAccessors

from tasks.contract.manifest import Manifest, RunRecord, now
from tasks.contract.store import Store
from wildlife.operators import step_operator
from wildlife.published import CHAMPION, IF_PROMOTED


def record(run_id: str, facts: dict[str, Any], computed_by: str) -> RunRecord:
    made = Manifest(
        step="promote", fingerprint="f", options={}, inputs={}, files={}, facts=facts,
        produced_by={"run_id": computed_by}, created=now(),
    )  # fmt: skip
    return RunRecord(
        run_id=run_id, step="promote", cached=run_id != computed_by, started=now(),
        finished=now(), manifest=made,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("promoted", "computed_by", "told"),
    [(True, "run-2", ["run-2"]), (False, "run-2", []), (True, "run-1", [])],
    ids=["promoted", "not promoted", "unchanged since a run that promoted"],
)
def test_the_champion_is_published_only_by_the_run_that_promoted_it(
    connected: Store, monkeypatch: pytest.MonkeyPatch, promoted: bool, computed_by: str, told: Any
) -> None:
    monkeypatch.setenv("WILDLIFE_RUNNER", "process")
    events = OutletEventAccessors()
    node = step_operator("promote", outlets=[IF_PROMOTED])
    made = record("run-2", {"promoted": promoted}, computed_by)
    node._publish(made, connected, {"outlet_events": events})  # type: ignore[typeddict-item]
    added = events[IF_PROMOTED].asset_alias_events
    assert [event.extra["run_id"] for event in added] == told
    assert all(event.dest_asset_key.uri == CHAMPION.uri for event in added)
