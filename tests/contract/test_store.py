"""The store keeps what it is given, and says in one line what went wrong."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError

from tasks.contract.errors import AccessDeniedError, InputError, UnavailableError
from tasks.contract.manifest import now
from tasks.contract.store import Store, StoreSettings, _timestamp


def test_a_written_object_is_read_back(store: Store) -> None:
    store.write("a/b c:+é.json", b"{}")
    assert store.read("a/b c:+é.json") == b"{}"
    [listed] = store.list("a/")
    assert listed.key == "a/b c:+é.json"
    assert listed.last_modified is not None


def test_an_object_is_read_again_only_if_it_is_another(store: Store) -> None:
    store.write("a", b"one")
    content, etag = store.read_if_new("a", None) or (b"", "")
    assert content == b"one"
    assert store.read_if_new("a", etag) is None
    store.write("a", b"two")
    newer = store.read_if_new("a", etag)
    assert newer is not None
    assert newer[0] == b"two"
    store.delete("a")
    assert store.read_if_new("a", newer[1]) == (b"", "")


def test_an_object_is_replaced_only_if_it_is_the_one_that_was_read(store: Store) -> None:
    assert not store.replace("a", b"one", "0" * 32)
    assert store.read("a") is None
    assert store.replace("a", b"one", "")
    assert not store.replace("a", b"two", "")
    _, etag = store.read_if_new("a", None) or (b"", "")
    assert store.replace("a", b"two", etag)
    assert not store.replace("a", b"three", etag)
    assert store.read("a") == b"two"


def test_of_many_who_replace_an_object_at_once_one_does(store: Store) -> None:
    etag, stores = "", [Store.from_environment() for _ in range(8)]
    for _ in range(8):
        start = Barrier(len(stores))

        def replace(number: int, etag: str = etag, start: Barrier = start) -> bool:
            start.wait()
            return stores[number].replace("a", f"{number} after {etag}".encode(), etag)

        with ThreadPoolExecutor(len(stores)) as pool:
            done = list(pool.map(replace, range(len(stores))))
        assert done.count(True) == 1
        content, etag = store.read_if_new("a", None) or (b"", "")
        assert content.startswith(f"{done.index(True)} ".encode())


def test_a_listed_object_s_time_is_when_it_was_put(store: Store) -> None:
    store.write("a", b"{}")
    [listed] = store.list("")
    assert listed.last_modified is not None
    assert abs(now() - listed.last_modified) < timedelta(seconds=10)


@pytest.mark.parametrize(
    "spelled",
    [
        "2026-11-24T02:44:05Z",
        "2026-11-24T02:44:05.000Z",
        "2026-11-24T04:44:05+02:00",
        "2026-11-24T02:44:05",
        "Tue, 24 Nov 2026 02:44:05 GMT",
        "1795488245",
        1795488245,
    ],
)
def test_a_time_is_read_however_a_server_spells_it(spelled: object) -> None:
    assert _timestamp(spelled).astimezone(UTC) == datetime(2026, 11, 24, 2, 44, 5, tzinfo=UTC)


def test_the_folders_right_below_a_prefix_are_told_once_each(store: Store) -> None:
    # Below a prefix of its own: SeaweedFS keeps the empty folders of other tests' objects.
    for key in ("own/b c:+é/x/y", "own/a/1", "own/a/2", "own/a.json", "ownx/c/1"):
        store.write(key, b"{}")
    assert list(store.folders("own/")) == ["a", "b c:+é"]
    assert list(store.folders("nowhere/")) == []


def test_an_absent_object_is_none(store: Store) -> None:
    assert store.head("nowhere") is None
    assert store.read("nowhere") is None


def test_a_file_is_uploaded_and_downloaded_whole(store: Store, tmp_path: Path) -> None:
    content = bytes(range(256)) * 50_000  # 12.8 MB: goes up in parts
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()

    reference = store.upload(source, "big", digest, "application/octet-stream")
    head = store.head("big")

    assert head is not None
    assert (reference.size, reference.etag) == (len(content), head.etag)
    assert store.download(head, target) == digest
    assert target.read_bytes() == content


def test_an_object_replaced_during_its_download_is_refused(store: Store, tmp_path: Path) -> None:
    store.write("key", b"old")
    head = store.head("key")
    assert head is not None
    store.write("key", b"new")
    with pytest.raises(InputError, match=r"s3://wildlife/key was replaced"):
        store.download(head, tmp_path / "target")


def test_a_range_is_of_the_pinned_upload_alone(store: Store) -> None:
    store.write("key", b"0123456789")
    head = store.head("key")
    assert head is not None
    assert store.read_range(head, 2, 5) == b"234"
    with pytest.raises(InputError, match=r"s3://wildlife/key sent .* instead of bytes 8-11 of 10"):
        store.read_range(head, 8, 12)
    store.write("key", b"abcdefghij")
    with pytest.raises(InputError, match=r"s3://wildlife/key was replaced"):
        store.read_range(head, 2, 5)
    store.delete("key")
    with pytest.raises(InputError, match=r"s3://wildlife/key vanished"):
        store.read_range(head, 2, 5)


def test_a_missing_bucket_is_named(store: Store) -> None:
    elsewhere = Store(StoreSettings("no-such-bucket", store.settings.endpoint_url))
    for call in (
        lambda: elsewhere.head("k"),
        lambda: elsewhere.read("k"),
        elsewhere.require_bucket,
        lambda: list(elsewhere.list("")),
    ):
        with pytest.raises(InputError, match="there is no bucket 'no-such-bucket'"):
            call()


def test_a_wrong_key_is_said_to_be_wrong(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    stranger = Store.from_environment()
    for call in (
        lambda: stranger.head("k"),
        lambda: stranger.read("k"),
        lambda: stranger.write("k", b""),
    ):
        with pytest.raises(AccessDeniedError, match="refused the access key"):
            call()


def test_a_store_that_is_down_is_worth_a_retry(store: Store) -> None:
    nobody = Store(StoreSettings("wildlife", "http://127.0.0.1:9"))
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:9 does not answer"):
        nobody.head("k")


def test_a_download_tells_how_far_it_is(store: Store, tmp_path: Path) -> None:
    store.write("key", bytes(3 << 20))
    head = store.head("key")
    assert head is not None
    seen: list[int] = []
    store.download(head, tmp_path / "target", seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == head.size


def test_a_store_that_fails_within_an_upload_is_worth_a_retry(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """boto3 wraps the store's answer; the store cannot be made to fail at will, so boto3 is."""
    answer = {"Error": {"Code": "InternalError"}, "ResponseMetadata": {"HTTPStatusCode": 500}}

    def fail(*_: object, **__: object) -> None:
        try:
            raise ClientError(answer, "PutObject")
        except ClientError as error:
            raise S3UploadFailedError(f"Failed to upload: {error}")  # noqa: B904 as boto3 does

    monkeypatch.setattr(store._client, "upload_file", fail)
    file = tmp_path / "file"
    file.write_bytes(b"x")
    with pytest.raises(UnavailableError, match="HTTP 500 InternalError"):
        store.upload(file, "key", "0" * 64, "text/plain")


def test_an_object_is_deleted_only_if_it_is_the_one_that_was_seen(store: Store) -> None:
    store.write("a", b"1")
    seen = store.head("a")
    assert seen is not None
    store.write("a", b"22")
    assert store.delete_if("a", seen.etag) is False
    assert store.read("a") == b"22"
    there = store.head("a")
    assert there is not None
    assert store.delete_if("a", there.etag) is True
    assert store.head("a") is None
    assert store.delete_if("a", there.etag) in (True, False)  # whatever it says, it is no failure


def test_many_objects_are_deleted_with_few_requests(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"many/{number}" for number in range(25)]
    for key in keys:
        store.write(key, b"x")
    monkeypatch.setattr("tasks.contract.store._DELETED_AT_ONCE", 10)
    store.delete_all([*keys[:-1], "many/that is not there"])
    assert [head.key for head in store.list("many/")] == [keys[-1]]
    store.delete_all([])


def test_an_upload_that_was_never_finished_is_found_and_dropped(store: Store) -> None:
    begun = store._client.create_multipart_upload(Bucket=store.bucket, Key="parts/a.bin")
    [upload] = store.unfinished_uploads("parts/")
    assert (upload.key, upload.id) == ("parts/a.bin", begun["UploadId"])
    store.abort_upload(upload)
    store.abort_upload(upload)
    assert not list(store.unfinished_uploads("parts/"))
