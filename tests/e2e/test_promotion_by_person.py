"""A person between the report and the promotion, in a real Airflow that waits for the answer.

The tests are one visit and follow one another.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from embedded.airflow import AirflowClient, start_airflow, stop_airflow
from embedded.bucket import SAMPLE_KEY, choose_archive
from embedded.process import Program
from embedded.settings import Settings
from embedded.store import start_store, stop_store, store_environment
from tasks.contract.champion import read_champions
from tasks.contract.manifest import report_prefix
from tasks.contract.step import read_record
from tasks.contract.store import Store, StoreSettings
from tests.e2e.stack import stack_in
from tests.plugins.waiting import wait_for

pytestmark = pytest.mark.airflow

QUICK = {"image_size": 64, "scratch_epochs": 1, "weights": "lite0", "promote": "always"}
SECONDS = 240


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A stack of the tests' own that asks a person, with the synthetic sample in its bucket."""
    settings = stack_in(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("WILDLIFE_PROMOTE_BY", "person")
        start_store(settings)
        try:
            choose_archive(store_of(settings), None)
            start_airflow(settings)
            yield settings
        finally:
            stop_airflow(settings)
            stop_store(settings)


def store_of(settings: Settings) -> Store:
    return Store(StoreSettings.from_environment(store_environment(settings)))


@pytest.fixture
def store(settings: Settings) -> Store:
    return store_of(settings)


class Visitor(AirflowClient):
    """Somebody who may answer, by the requests that Airflow's page sends."""

    def state_of(self, run_id: str, task: str) -> str | None:
        states = {one["task_id"]: one["state"] for one in self.task_instances(run_id)}
        return states[task]

    def question(self, run_id: str) -> Mapping[str, Any]:
        return self._read(self._where(run_id))  # type: ignore[no-any-return]

    def answer(self, run_id: str, option: str) -> None:
        # Airflow 3.3.2 forgets an answer that comes before the node's process has ended, and asks
        # anew: no person is that quick, a test is.
        wait_for(lambda: self._has_let_go(run_id), 60)
        body = {"chosen_options": [option], "params_input": {}}
        answer = self._request("PATCH", self._where(run_id), json=body)
        assert answer.status_code == 200, answer.text

    def promotions(self) -> list[str]:
        """The runs that published the champion, newest first."""
        events = self._read("/api/v2/assets/events?source_task_id=promote&order_by=-timestamp")
        assert {event["name"] for event in events["asset_events"]} <= {"wildlife_champion"}
        return [event["extra"]["run_id"] for event in events["asset_events"]]

    def _has_let_go(self, run_id: str) -> bool:
        """Whether the scheduler has heard that the process of the node that asks has ended."""
        log = Program("airflow-scheduler", self._settings.home).log_file.read_text()
        said = f"TaskInstance Finished: dag_id={self.dag_id}, task_id=approve, run_id={run_id},"
        return said in log

    def _where(self, run_id: str) -> str:
        run = f"/api/v2/dags/{self.dag_id}/dagRuns/{run_id}"
        return f"{run}/taskInstances/approve/-1/hitlDetails"


@pytest.fixture
def visitor(settings: Settings) -> Visitor:
    return Visitor(settings)


@pytest.fixture
def begun(visitor: Visitor) -> Callable[..., None]:
    """Trigger a run and wait until it asks, or until it ends."""

    def begin(run_id: str, **options: Any) -> None:
        visitor.trigger(run_id, QUICK | {"archive": SAMPLE_KEY} | options)
        ended = ("success", "failed")
        wait_for(
            lambda: (
                visitor.state_of(run_id, "approve") == "awaiting_input"
                or visitor.run_state(run_id) in ended
            ),
            SECONDS,
        )

    return begin


def ended(visitor: Visitor, run_id: str) -> str:
    wait_for(lambda: visitor.run_state(run_id) in ("success", "failed"), 60)
    return visitor.run_state(run_id)


def test_a_run_waits_for_the_answer_and_an_approval_promotes(
    visitor: Visitor, store: Store, begun: Callable[..., None]
) -> None:
    begun("run-1", transfer_epochs=1)
    assert visitor.state_of("run-1", "approve") == "awaiting_input"
    assert visitor.run_state("run-1") == "running"
    assert store.head(report_prefix("run-1") + "index.html") is not None
    assert read_champions(store)[0].current is None
    assert "there is no champion yet" in visitor.question("run-1")["body"]
    visitor.answer("run-1", "Approve")
    assert ended(visitor, "run-1") == "success"
    current = read_champions(store)[0].current
    assert current is not None
    assert current.run_id == "run-1"
    assert visitor.promotions() == ["run-1"]


def test_a_rejection_promotes_nothing_is_noted_and_fails_nothing(
    visitor: Visitor, store: Store, begun: Callable[..., None]
) -> None:
    begun("run-2", transfer_epochs=2)
    body = visitor.question("run-2")["body"]
    assert "| the champion (" in body
    assert "of run run-1) |" in body
    visitor.answer("run-2", "Reject")
    assert ended(visitor, "run-2") == "success"
    champions, _ = read_champions(store)
    assert [one.run_id for one in champions.champions] == ["run-1"]
    assert [(one.run_id, one.who) for one in champions.rejected] == [("run-2", "admin")]
    facts = read_record(store, "run-2", "promote").manifest.facts
    assert facts["promoted"] is False
    assert facts["reason"].startswith("admin rejected it")
    assert visitor.promotions() == ["run-1"]


def test_nobody_is_asked_again_about_the_same_network(
    visitor: Visitor, store: Store, begun: Callable[..., None]
) -> None:
    begun("run-3", transfer_epochs=2)
    assert visitor.run_state("run-3") == "success"
    assert visitor.state_of("run-3", "approve") == "success"
    assert read_champions(store)[0].revision == 2
