"""Manifests and records: nothing is lost in JSON, and no run id can leave its folder."""

import re
from datetime import UTC
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.contract.errors import ConfigurationError
from tasks.contract.manifest import (
    FileReference,
    Manifest,
    RunRecord,
    checked_run_id,
    digest_of,
    progress_key,
    record_key,
    report_prefix,
)

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
FINITE = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers() | TEXT, max_size=4)
MOMENTS = st.datetimes(timezones=st.just(UTC))
MANIFESTS = st.builds(
    Manifest,
    format=st.just(1),
    options=FINITE,
    inputs=st.dictionaries(TEXT, TEXT, max_size=3),
    files=st.dictionaries(TEXT, st.builds(FileReference, key=TEXT, sha256=TEXT), max_size=3),
    facts=FINITE,
    measurements=FINITE,
    produced_by=st.dictionaries(TEXT, TEXT, max_size=3),
    created=MOMENTS,
)


@given(MANIFESTS)
def test_a_manifest_survives_json(manifest: Manifest) -> None:
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


@given(st.builds(RunRecord, manifest=MANIFESTS, started=MOMENTS, finished=MOMENTS))
def test_a_record_survives_json(record: RunRecord) -> None:
    assert RunRecord.model_validate_json(record.model_dump_json(indent=1)) == record


@given(MANIFESTS, MANIFESTS)
def test_the_digest_is_of_content_not_of_circumstance(one: Manifest, other: Manifest) -> None:
    circumstances = {
        "fingerprint": other.fingerprint,
        "options": other.options,
        "inputs": other.inputs,
        "measurements": other.measurements,
        "produced_by": other.produced_by,
        "created": other.created,
    }
    assert one.model_copy(update=circumstances).digest == one.digest


def test_the_digest_changes_with_bytes_names_and_facts() -> None:
    def digest(name: str = "f", sha256: str = "0", facts: dict[str, int] | None = None) -> str:
        file = FileReference(key="k", size=1, sha256=sha256, etag="e")
        return Manifest(
            step="s",
            fingerprint="",
            options={},
            inputs={},
            files={name: file},
            facts=facts or {},
            created="2026-01-01T00:00:00Z",
        ).digest

    assert len({digest(), digest(name="g"), digest(sha256="1"), digest(facts={"n": 1})}) == 4


@given(st.dictionaries(TEXT, SCALARS.filter(lambda value: value != float("inf")), max_size=5))
def test_a_digest_does_not_depend_on_the_order_of_names(document: dict) -> None:
    finite = {k: v for k, v in document.items() if v not in (float("inf"), float("-inf"))}
    assert digest_of(finite) == digest_of(dict(reversed(finite.items())))


def test_a_manifest_with_an_unknown_part_is_refused() -> None:
    with pytest.raises(ValidationError, match="surprise"):
        FileReference.model_validate(
            {"key": "k", "size": 1, "sha256": "", "etag": "", "surprise": 1}
        )


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,199}", fullmatch=True))
def test_a_run_id_as_airflow_makes_them_is_taken(run_id: str) -> None:
    assert checked_run_id(run_id) == run_id
    assert checked_run_id("scheduled__2026-11-24T02:00:00.123+00:00_x-1")


@given(st.text() | st.from_regex(r"[./\\\x00-\x20%~-]+.*"))
def test_no_run_id_leaves_its_folder(run_id: str) -> None:
    try:
        keys = (record_key(run_id, "fetch"), progress_key(run_id, "x"), report_prefix(run_id) + "r")
    except ConfigurationError:
        return
    for key in keys:
        assert len(PurePosixPath(key).parts) == 3
        assert not {"..", "."} & set(key.split("/"))
        assert re.fullmatch(r"[\x21-\x7e]+", key)
