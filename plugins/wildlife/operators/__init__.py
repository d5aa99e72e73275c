"""One factory for the workflow's steps, whatever they run in."""

from typing import Any

from wildlife.operators.base import StepOperator
from wildlife.operators.process import ProcessStepOperator
from wildlife.settings import settings

_RUNNERS: dict[str, type[StepOperator]] = {"process": ProcessStepOperator}


def step_operator(step: str, **arguments: Any) -> StepOperator:
    """The node of the DAG that runs a step, in what the setting WILDLIFE_RUNNER names."""
    chosen = settings()
    return _RUNNERS[chosen.runner](
        step=step,
        task_id=step,
        retries=chosen.retries,
        retry_delay=chosen.retry_delay,
        execution_timeout=chosen.step_timeout,
        **arguments,
    )
