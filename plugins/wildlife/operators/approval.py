"""The node that asks a person before the champion changes, by Airflow's human-in-the-loop."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NoReturn

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from tasks.contract.champion import note_answer, read_champions
from tasks.contract.decision import Decision, Duel
from tasks.contract.errors import StepError
from tasks.contract.manifest import Manifest
from tasks.contract.step import read_record
from tasks.contract.store import Store, StoreSettings
from wildlife.connection import store_environment
from wildlife.links import report_link

APPROVE, REJECT = "Approve", "Reject"


class PromotionApproval(HITLOperator):
    """Waits for a person if the step ``champion`` would promote; asks nothing if it would not.

    A rejection is noted in ``champion.json``, where the step ``promote`` finds it, and so do later
    runs: the same network is not asked about again. No answer in time skips the promotion alone.
    """

    #: Nothing of it is rendered: what is asked is made of the decision, while it runs.
    template_fields = ()

    def __init__(self, *, wait: timedelta, **arguments: Any) -> None:
        super().__init__(
            subject="Promote this run's network?",
            options=[APPROVE, REJECT],
            response_timeout=wait,
            **arguments,
        )

    def execute(self, context: Context) -> None:
        run_id = str(context["run_id"])
        try:
            store = _store()
            decision, training = _decided(store, run_id)
            if not decision.promotes:
                self.log.info("nobody is asked: %s", decision.in_one_line)
                return
            if read_champions(store)[0].is_champion(training):
                self.log.info("nobody is asked: it is the champion already")
                return
        except StepError as error:
            raise AirflowException(str(error)) from error
        self.subject = f"Promote the network {decision.challenger} of run {run_id}?"
        self.body = question(decision, run_id)
        super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        answer = super().execute_complete(context, event)
        run_id, approved = str(context["run_id"]), answer["chosen_options"] == [APPROVE]
        who = _name(answer["responded_by_user"])
        try:
            store = _store()
            _, training = _decided(store, run_id)
            note_answer(store, training, run_id, who, approved=approved)
        except StepError as error:
            raise AirflowException(str(error)) from error
        self.log.info("%s %s it", who, "approved" if approved else "rejected")
        return answer

    def process_trigger_event_error(self, event: dict[str, Any]) -> NoReturn:
        if event["error_type"] == "timeout":
            raise AirflowSkipException(
                f"nobody answered within {self.response_timeout}: not promoted; clear this task to "
                "ask again"
            )
        raise AirflowException(f"the answer could not be had: {event['error']}")


def question(decision: Decision, run_id: str) -> str:
    """What the person reads, in Markdown: the reason, both numbers, and where the rest is."""
    rest = (
        f"[The report]({report_link(run_id)}) has the rest. If the champion changes before you "
        "answer, the two are compared again before anything is promoted."
    )
    lines = [
        f"By the rule *{decision.rule}* it may be the champion: {decision.reason}.",
        *(_numbers(decision, decision.duel) if decision.duel else ()),
        rest,
    ]
    return "\n\n".join(lines)


def _numbers(decision: Decision, duel: Duel) -> list[str]:
    def row(name: str, accuracy: float, low: float, high: float) -> str:
        return f"| {name} | {accuracy:.1%} | {low:.1%} to {high:.1%} |"

    table = (
        "| Network | Accuracy | 95 % interval |",
        "|---|---|---|",
        row(
            f"this run's ({decision.challenger})",
            duel.challenger_accuracy,
            duel.challenger_low,
            duel.challenger_high,
        ),
        row(
            f"the champion ({decision.champion})",
            duel.champion_accuracy,
            duel.champion_low,
            duel.champion_high,
        ),
    )
    told = (
        f"On {duel.compared:,} test photos that neither has seen in training; "
        f"{duel.seen + duel.alike:,} are left out."
    )
    return ["\n".join(table), told]


def _store() -> Store:
    return Store(StoreSettings.from_environment(store_environment()))


def _decided(store: Store, run_id: str) -> tuple[Decision, Manifest]:
    """What the run's step ``champion`` said, and the training whose network it is about."""
    decision = Decision.model_validate(read_record(store, run_id, "champion").manifest.facts)
    return decision, read_record(store, run_id, decision.challenger).manifest


def _name(user: Mapping[str, Any] | None) -> str:
    return str(user["name"] or user["id"]) if user else "somebody"
