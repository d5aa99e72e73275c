"""The drill's checks find what they look for."""

import pytest

from tasks.contract.manifest import FileReference, Manifest, now
from tasks.contract.progress import TrainProgress
from tasks.contract.store import Store
from tests.drill.checks import faults_of_bucket
from tests.drill.faults import batches_lost
from tests.drill.record import Row, table

pytestmark = pytest.mark.store

KEY = "artifacts/fetch/ab/cd/members.json"


@pytest.fixture
def published(store: Store) -> Store:
    """One whole result of a step."""
    store.write(KEY, b"[]")
    head = store.head(KEY)
    assert head is not None
    sha256 = "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"
    manifest = Manifest(
        step="fetch",
        fingerprint="ab",
        options={},
        inputs={},
        files={"members.json": FileReference(key=KEY, size=2, sha256=sha256, etag=head.etag)},
        created=now(),
    )
    store.write(manifest.key, manifest.model_dump_json().encode())
    return store


def test_a_whole_result_has_no_fault(published: Store) -> None:
    assert faults_of_bucket(published) == []


@pytest.mark.parametrize(
    ("key", "content", "fault"),
    [
        (KEY, b"[", "is not what its manifest says"),
        ("artifacts/fetch/ab/ef/other.json", b"[]", "nothing tells of it"),
        ("checkpoints/train_scratch/ab/a.npz", b"PK", "nothing tells of it"),
    ],
)
def test_an_object_that_is_not_what_it_should_be_is_found(
    published: Store, key: str, content: bytes, fault: str
) -> None:
    published.write(key, content)
    assert faults_of_bucket(published) == [f"{key}: {fault}"]


def test_a_file_that_is_gone_is_found(published: Store) -> None:
    published.delete(KEY)
    assert faults_of_bucket(published) == [f"{KEY}: is missing"]


def test_an_upload_that_was_never_finished_is_found(published: Store) -> None:
    bucket, client = published.settings.bucket, published._client
    upload = client.create_multipart_upload(Bucket=bucket, Key="weights/half.h5")["UploadId"]
    part = {"Bucket": bucket, "Key": "weights/half.h5", "UploadId": upload}
    client.upload_part(**part, PartNumber=1, Body=b"half of it")
    try:
        assert faults_of_bucket(published) == ["weights/half.h5: half uploaded"]
    finally:
        client.abort_multipart_upload(**part)


def test_the_record_is_a_table() -> None:
    row = Row("Redis is restarted", "nobody noticed", 12.4, "nothing")
    assert (
        table([row]).splitlines()[-1] == "| Redis is restarted | nobody noticed | 12 s | nothing |"
    )


@pytest.mark.parametrize(
    ("told", "lost"),
    [
        ("epoch 4 after 5 of 11 batches", "nothing"),
        ("epoch 4 after its validation", "nothing"),
        ("epoch 3 after its validation", "4 batches, trained again"),
        ("epoch 2 after 9 of 11 batches", "17 batches, trained again"),
    ],
)
def test_what_a_retry_trains_again_is_counted(told: str, lost: str) -> None:
    before = TrainProgress.model_construct(epoch=3, batch=4, batches=11)
    assert batches_lost(before, f"going on from the checkpoint of {told}, made") == lost
