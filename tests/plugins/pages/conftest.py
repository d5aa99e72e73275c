"""The pages' tests share one store and one process, and nothing that the process has read of it."""

import pytest

from wildlife.pages import bucket, runs


@pytest.fixture(autouse=True)
def nothing_read_before() -> None:
    runs._read_before.cache_clear()
    bucket._silence.cache_clear()
