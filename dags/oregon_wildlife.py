"""Pull a photo archive from object storage, prepare it, train EfficientNet-B0 twice on a GPU
worker (from random weights, and from ImageNet weights), publish a report on what transfer
learning bought, and promote the better network if it beats the champion.
"""

from pathlib import Path
from typing import Any

from airflow.sdk import DAG, BaseOperator, chain

from wildlife.alerts import when_report_is_there, when_run_fails, when_run_is_late
from wildlife.form import trigger_form
from wildlife.identity import DAG_ID
from wildlife.operators import approval_operator, step_operator
from wildlife.operators.base import StepOperator
from wildlife.published import IF_PROMOTED, MODEL_SCRATCH, MODEL_TRANSFER, REPORT
from wildlife.schedule import schedule
from wildlife.settings import settings

GPU = {"pool": "gpu", "queue": "gpu"}


def documentation(name: str) -> str:
    """What Airflow's page says of the workflow or of one of its nodes, in Markdown."""
    return Path(__file__).with_name("doc").joinpath(f"{name}.md").read_text(encoding="utf-8")


def node(step: str, name: str, **arguments: Any) -> StepOperator:
    """The node of a step, under the name that its users know."""
    return step_operator(step, task_display_name=name, doc_md=documentation(step), **arguments)


def approval() -> list[BaseOperator]:
    """The node that asks a person before anything is promoted, if the settings want one."""
    if settings().promote_by == "rule":
        return []
    return [approval_operator(task_display_name="Approve", doc_md=documentation("approve"))]


with DAG(
    DAG_ID,
    dag_display_name="Wildlife photo classifiers",
    description="Train a wildlife photo classifier from scratch and by transfer, and compare them",
    doc_md=documentation("dag"),
    schedule=schedule(),
    catchup=False,
    max_active_runs=1,
    params=trigger_form(),
    tags=["wildlife", "photos", "training", "report"],
    default_args={"owner": settings().owner},
    owner_links=settings().owner_links,
    on_failure_callback=when_run_fails(),
    deadline=when_run_is_late(),
):
    fetch = node("fetch", "Fetch")
    preprocess = node("preprocess", "Preprocess")
    train_scratch = node(
        "train_scratch", "Train from scratch", arm=0, outlets=[MODEL_SCRATCH], **GPU
    )
    # First where they share a slot: it takes minutes, and weights that cannot be had show at once.
    train_transfer = node(
        "train_transfer",
        "Train by transfer",
        arm=1,
        priority_weight=2,
        outlets=[MODEL_TRANSFER],
        **GPU,
    )
    champion = node("champion", "Challenge the champion")
    compare = node(
        "compare", "Compare", outlets=[REPORT], on_success_callback=when_report_is_there()
    )
    promote = node("promote", "Promote", outlets=[IF_PROMOTED])

    fetch >> preprocess >> [train_scratch, train_transfer] >> champion
    chain(champion, compare, *approval(), promote)
