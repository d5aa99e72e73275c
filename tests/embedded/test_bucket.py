"""What make run puts into the bucket keeps its name, whatever kind of archive it is."""

from pathlib import Path

import pytest

from embedded.bucket import choose_archive
from tasks.contract.store import Store


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("photos.zip", "application/zip"),
        ("photos.tar", "application/x-tar"),
        ("photos.tar.gz", "application/octet-stream"),
        ("photos.tar.xz", "application/octet-stream"),
        ("no suffix", "application/octet-stream"),
    ],
)
def test_an_archive_of_any_kind_is_put_as_it_is(
    store: Store, tmp_path: Path, name: str, content_type: str
) -> None:
    (tmp_path / name).write_bytes(b"bytes")
    key = choose_archive(store, tmp_path / name)
    assert key == f"datasets/{name}"
    assert store.read(key) == b"bytes"
    answer = store._client.head_object(Bucket=store.bucket, Key=key)
    assert answer["ContentType"] == content_type
    assert "ContentEncoding" not in answer
