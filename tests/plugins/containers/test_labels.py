"""Whose a container is: what is written on it can be read back, and names are never shared."""

import re

from hypothesis import given
from hypothesis import strategies as st

from tasks.contract.store import StoreSettings
from wildlife.containers.labels import COMMAND, Owner, bucket_label
from wildlife.containers.stopper import STOPPING

TEXT = st.text(min_size=1, max_size=250)


@given(TEXT, TEXT, TEXT)
def test_an_owner_is_read_back_as_it_was_written(dag: str, run: str, task: str) -> None:
    owner = Owner(dag, run, task)
    labels = owner.labels("s3://b at AWS", 3, "digest")
    assert Owner.of(labels) == owner
    assert labels[COMMAND] == "digest"


@given(TEXT)
def test_a_name_is_one_that_docker_takes_and_never_the_same_twice(run: str) -> None:
    owner = Owner("dag", run, "train_scratch")
    first, second = owner.name(1), owner.name(1)
    assert re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", first)
    assert len(first + STOPPING) < 128
    assert first != second


def test_a_task_s_containers_of_every_try_are_its_own() -> None:
    owner = Owner("dag", "run", "fetch")
    for try_number in (1, 2):
        assert Owner.of(owner.labels("s3://b at AWS", try_number, "digest")) == owner


def test_deployments_differ_by_bucket_and_by_store() -> None:
    labels = {
        bucket_label(StoreSettings(bucket=bucket, endpoint_url=url))
        for bucket in ("a", "b")
        for url in (None, "http://one", "http://two")
    }
    assert len(labels) == 6
