"""What make run puts into the bucket keeps its name, whatever kind of archive it is."""

from pathlib import Path

import pytest

from embedded.bucket import choose_archive
from tasks.contract.store import Store


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.zst", "no suffix"])
def test_an_archive_of_any_kind_is_put_as_it_is(store: Store, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"bytes")
    key = choose_archive(store, tmp_path / name)
    assert key == f"datasets/{name}"
    assert store.read(key) == b"bytes"
    answer = store._client.head_object(Bucket=store.bucket, Key=key)
    assert "ContentEncoding" not in answer, "a client would unpack it"
    # The store itself may know better than the octet stream that it was told.
    assert (answer["ContentType"] == "application/x-tar") == (name == "a.tar")
