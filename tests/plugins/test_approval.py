"""The node that asks a person: whether it asks, what it asks, and what becomes of the answer.

That it waits, and goes on, in a real Airflow: ``tests/e2e/test_promotion_by_person.py``.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowSkipException, TaskAwaitingInput

from tasks.champion import promote_step
from tasks.contract.cache import Cache
from tasks.contract.champion import read_champions
from tasks.contract.config import Config
from tasks.contract.manifest import RunRecord
from tasks.contract.step import run_step
from tasks.contract.store import Store
from tests.compare.world import World, told
from wildlife.operators.approval import PromotionApproval

FORCED = Config(force=True)
ASKED: Any = {"run_id": "run-2"}


@pytest.fixture
def node() -> PromotionApproval:
    return PromotionApproval(task_id="approve", wait=timedelta(hours=3))


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Airflow was given to ask."""
    asked: list[dict[str, Any]] = []
    where = "airflow.providers.standard.operators.hitl.upsert_hitl_detail"
    monkeypatch.setattr(where, lambda **question: asked.append(question))
    return asked


def promote(store: Store, cache: Cache, run_id: str) -> RunRecord:
    return run_step(promote_step(told), FORCED, run_id, store, cache)


@pytest.fixture
def champion(connected: Store, store_env: dict[str, str], cache: Cache) -> Store:
    """A store where run-1 promoted its network, and run-2 has a better one."""
    World(accuracy={"scratch": 0.3, "transfer": 0.6}).publish("run-1", connected, cache, FORCED)
    promote(connected, cache, "run-1")
    World(archive="b2").publish("run-2", connected, cache, FORCED)
    return connected


def answered(option: str) -> dict[str, Any]:
    return {
        "chosen_options": [option],
        "params_input": {},
        "responded_at": datetime.now(UTC),
        "responded_by_user": {"id": "7", "name": "ann"},
    }


def test_it_asks_with_both_numbers_and_the_way_to_the_report(
    node: PromotionApproval, questions: list[dict[str, Any]], champion: Store
) -> None:
    with pytest.raises(TaskAwaitingInput) as waiting:
        node.execute({"run_id": "run-2", "task_instance": _Task()})  # type: ignore[typeddict-item]
    assert waiting.value.timeout == timedelta(hours=3)
    [question] = questions
    assert question["subject"] == "Promote the network train_transfer of run run-2?"
    assert question["options"] == ["Approve", "Reject"]
    body = question["body"]
    assert "| this run's (train_transfer) | 90.0% | 79.9% to 95.3% |" in body
    assert "| the champion (train_transfer of run run-1) | 60.0% | 47.4% to 71.4% |" in body
    assert "it may be the champion: better by the paired test." in body
    assert "[The report](dags/oregon_wildlife/runs/run-2/plugin/wildlife-report)" in body


class _Task:
    id = "0"


def test_it_asks_nothing_where_there_is_nothing_to_promote(
    node: PromotionApproval, questions: list[dict[str, Any]], champion: Store, cache: Cache
) -> None:
    node.execute({"run_id": "run-1"})  # type: ignore[typeddict-item]  # the champion's own run
    World(accuracy={"scratch": 0.3, "transfer": 0.5}).publish("run-2", champion, cache, FORCED)
    node.execute(ASKED)
    assert questions == []


def test_an_approval_leads_to_promotion(
    node: PromotionApproval, champion: Store, cache: Cache
) -> None:
    node.execute_complete(ASKED, answered("Approve"))
    assert promote(champion, cache, "run-2").manifest.facts["promoted"] is True


def test_a_rejection_is_noted_with_who_and_nothing_is_promoted(
    node: PromotionApproval, champion: Store, cache: Cache
) -> None:
    node.execute_complete(ASKED, answered("Reject"))
    [noted] = read_champions(champion)[0].rejected
    assert (noted.who, noted.run_id, noted.step) == ("ann", "run-2", "train_transfer")
    facts = promote(champion, cache, "run-2").manifest.facts
    assert (facts["promoted"], facts["reason"][:16]) == (False, "ann rejected it;")
    node.execute_complete(ASKED, answered("Approve"))  # asked again, and of another mind
    assert promote(champion, cache, "run-2").manifest.facts["promoted"] is True


def test_no_answer_in_time_skips_the_promotion_and_fails_nothing(node: PromotionApproval) -> None:
    late = {"error": "too late", "error_type": "timeout"}
    with pytest.raises(AirflowSkipException, match="nobody answered within 3:00:00"):
        node.execute_complete(ASKED, late)


def test_a_run_without_a_decision_is_one_line(node: PromotionApproval, connected: Store) -> None:
    with pytest.raises(AirflowException, match="has no result of 'champion' yet"):
        node.execute(ASKED)
