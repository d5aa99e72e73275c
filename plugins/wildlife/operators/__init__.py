"""Factories of the workflow's nodes, whatever they run in."""

from typing import Any

from airflow.sdk import BaseOperator

from wildlife.operators.base import StepOperator
from wildlife.settings import settings


def step_operator(step: str, **arguments: Any) -> StepOperator:
    """The node of the DAG that runs a step, in what the setting WILDLIFE_RUNNER names."""
    chosen = settings()
    return _runner(chosen.runner)(
        step=step,
        task_id=step,
        retries=chosen.retries,
        retry_delay=chosen.retry_delay,
        execution_timeout=chosen.step_timeout,
        **arguments,
    )


def approval_operator(**arguments: Any) -> BaseOperator:
    """The node that asks a person before the network is promoted."""
    from wildlife.operators.approval import PromotionApproval  # only where somebody is asked

    chosen = settings()
    return PromotionApproval(
        task_id="approve",
        wait=chosen.promote_wait,
        retries=chosen.retries,
        retry_delay=chosen.retry_delay,
        **arguments,
    )


def _runner(name: str) -> type[StepOperator]:
    """Imported when it is chosen: a deployment without Docker needs nothing of it."""
    if name == "docker":
        from wildlife.operators.docker import DockerStepOperator

        return DockerStepOperator
    from wildlife.operators.process import ProcessStepOperator

    return ProcessStepOperator
