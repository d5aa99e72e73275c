"""What make run puts into the bucket keeps its name, whatever kind of archive it is."""

from pathlib import Path

import pytest

from embedded.bucket import choose_archive, require_weights
from embedded.process import StackError
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


def test_weights_of_one_s_own_are_missed_before_anything_is_trained(store: Store) -> None:
    with pytest.raises(StackError, match=r"there is no s3://.*/weights/my.h5: make put FILE="):
        require_weights(store, "weights/my.h5")
    store.write("weights/my.h5", b"weights")
    for weights in ("weights/my.h5", "imagenet", "lite0"):
        require_weights(store, weights)
