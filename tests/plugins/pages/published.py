"""What runs leave in the bucket and in Airflow's database, for the tests of the pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from tasks.contract.champion import Champion, Data
from tasks.contract.headline import Headline, publish_headline
from tasks.contract.manifest import FileReference, Manifest, now
from tasks.contract.store import Store
from wildlife.identity import DAG_ID

FACTS: dict[str, Any] = {
    "title": "Oregon Wildlife",
    "synthetic": False,
    "archive": "datasets/oregon-wildlife.zip",
    "photos": 1234,
    "test_photos": 80,
    "scratch_accuracy": 0.6125,
    "scratch_accuracy_low": 0.5,
    "scratch_accuracy_high": 0.71,
    "transfer_accuracy": 0.95,
    "transfer_accuracy_low": 0.88,
    "transfer_accuracy_high": 0.98,
    "difference": 0.3375,
    "difference_low": 0.25,
    "difference_high": 0.425,
    "verdict": "transfer is better",
    "weights": "imagenet",
}


def headline(run_id: str, hours_ago: float = 0, **changes: Any) -> Headline:
    facts = FACTS | {"computed_by": run_id, "finished": now() - timedelta(hours=hours_ago)}
    return Headline(run_id=run_id, **facts | changes)


def publish(store: Store, run_id: str, hours_ago: float = 0, **changes: Any) -> None:
    """A run's report, record and headline, as ``compare`` leaves them."""
    store.write(f"reports/{run_id}/index.html", f"<p>of {run_id}".encode(), "text/html")
    store.write(f"reports/{run_id}/summary.json", b"{}")
    store.write(f"runs/{run_id}/compare.json", b"{}")
    publish_headline(store, headline(run_id, hours_ago, **changes))


def champion(run_id: str) -> Champion:
    """A network that a run promoted."""
    training = Manifest(
        step="train_transfer", fingerprint=run_id, options={}, inputs={}, files={},
        facts={"of": run_id}, produced_by={"run_id": run_id}, created=now(),
    )  # fmt: skip
    photos = FileReference(key="photos.jsonl", size=1, sha256="0" * 64, etag="0")
    data = Data(photos=photos, archive_sha256="a1" * 32, prepared=now())
    return Champion(run_id=run_id, promoted=now(), reason="made up", training=training, data=data)


@contextmanager
def airflow_run(run_id: str, state: str, started: datetime | None = None) -> Iterator[None]:
    """A run of the DAG in Airflow's database."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    with create_session() as session:
        session.add(
            DagRun(
                dag_id=DAG_ID,
                run_id=run_id,
                run_type=DagRunType.MANUAL,
                run_after=started or now(),
                start_date=started,
                state=DagRunState(state),
                triggered_by=DagRunTriggeredByType.TEST,
            )
        )
    try:
        yield
    finally:
        with create_session() as session:
            session.query(DagRun).filter(DagRun.run_id == run_id).delete()
