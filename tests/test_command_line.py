"""``python -m tasks``: bad input is one clear line, an exit code that says whether to retry,
and nothing left in the bucket."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tasks.contract.config import Config
from tasks.contract.store import Store
from tasks.registry import STEP_NAMES

ROOT = Path(__file__).resolve().parent.parent


def tasks(
    *arguments: str, cache: Path, given: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tasks", *arguments],
        cwd=ROOT,
        env=os.environ | {"WILDLIFE_CACHE": str(cache)} | environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
    )


def the_error_of(answer: subprocess.CompletedProcess[str]) -> str:
    """The one line that the step failed with, after checking that it is one and no traceback."""
    assert "Traceback" not in answer.stdout + answer.stderr
    errors = [line for line in answer.stdout.splitlines() if " ERROR " in line]
    assert len(errors) == 1, answer.stdout + answer.stderr
    return errors[0]


FETCH = ("fetch", "--run-id", "r1")


def test_an_option_out_of_range_is_named(store: Store, tmp_path: Path) -> None:
    answer = tasks(*FETCH, "--config", '{"scratch_epochs": 0}', cache=tmp_path)
    assert answer.returncode == os.EX_CONFIG
    assert "option 'scratch_epochs' is 0: must be 1 or more" in the_error_of(answer)


def test_an_unknown_option_is_named_with_the_known_ones(store: Store, tmp_path: Path) -> None:
    answer = tasks(*FETCH, "--config", '{"epochs": 3}', cache=tmp_path)
    assert answer.returncode == os.EX_CONFIG
    line = the_error_of(answer)
    assert "unknown option 'epochs'" in line
    assert all(name in line for name in Config.model_fields)


def test_a_configuration_that_is_no_json_is_told(store: Store, tmp_path: Path) -> None:
    answer = tasks(*FETCH, "--config", "epochs=3", cache=tmp_path)
    assert answer.returncode == os.EX_CONFIG
    assert "the configuration is not JSON" in the_error_of(answer)


@pytest.mark.parametrize("run_id", ["../escape", "a/b", "", "-x", "a" * 201, "new\nline"])
def test_a_run_id_that_names_no_folder_is_refused(
    store: Store, tmp_path: Path, run_id: str
) -> None:
    answer = tasks("fetch", f"--run-id={run_id}", cache=tmp_path)
    assert answer.returncode == os.EX_CONFIG
    assert "cannot name a folder" in the_error_of(answer)


def test_a_missing_bucket_setting_is_told(store: Store, tmp_path: Path) -> None:
    answer = tasks(*FETCH, cache=tmp_path, WILDLIFE_BUCKET="")
    assert answer.returncode == os.EX_CONFIG
    assert "WILDLIFE_BUCKET is not set" in the_error_of(answer)


def test_a_missing_bucket_is_named(store: Store, tmp_path: Path) -> None:
    answer = tasks(*FETCH, cache=tmp_path, WILDLIFE_BUCKET="nowhere")
    assert answer.returncode == os.EX_DATAERR
    assert "there is no bucket 'nowhere'" in the_error_of(answer)


def test_a_missing_archive_is_named_with_what_is_there(store: Store, tmp_path: Path) -> None:
    store.write("datasets/other.zip", b"")
    answer = tasks(*FETCH, "--config", '{"archive": "datasets/mine.zip"}', cache=tmp_path)
    assert answer.returncode == os.EX_DATAERR
    line = the_error_of(answer)
    assert "datasets/mine.zip" in line
    assert "datasets/other.zip" in line


def test_wrong_keys_are_told_and_not_retried(store: Store, tmp_path: Path) -> None:
    answer = tasks(*FETCH, cache=tmp_path, AWS_SECRET_ACCESS_KEY="wrong")
    assert answer.returncode == os.EX_NOPERM
    assert "refused the access key" in the_error_of(answer)


def test_a_store_that_is_down_can_be_retried(store: Store, tmp_path: Path) -> None:
    answer = tasks(*FETCH, cache=tmp_path, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert answer.returncode == os.EX_TEMPFAIL
    assert "http://127.0.0.1:9 does not answer" in the_error_of(answer)


def test_an_endpoint_that_is_no_address_is_told(store: Store, tmp_path: Path) -> None:
    answer = tasks(*FETCH, cache=tmp_path, AWS_ENDPOINT_URL="not a url")
    assert answer.returncode == os.EX_CONFIG
    assert "AWS_ENDPOINT_URL" in the_error_of(answer)


def test_a_cache_folder_that_cannot_be_made_is_named(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    answer = tasks(*FETCH, cache=file / "cache")
    assert answer.returncode == os.EX_CONFIG
    assert "cannot be made" in the_error_of(answer)


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (None, "is not a readable archive"),
        ({"README.txt": b"hello"}, "class"),
        ({"only/a.jpg": b"x", "only/b.jpg": b"x"}, "class"),
    ],
    ids=["no archive", "no class folders", "a single class"],
)
def test_an_archive_that_cannot_train_anything_is_told_why(
    store: Store, tmp_path: Path, files: dict[str, bytes] | None, complaint: str
) -> None:
    path = tmp_path / "bad.zip"
    if files is None:
        path.write_bytes(b"this is no archive" * 100)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    store.write("datasets/bad.zip", path.read_bytes())
    config = '{"archive": "datasets/bad.zip"}'
    answer = tasks(*FETCH, "--config", config, cache=tmp_path / "cache")
    assert answer.returncode == os.EX_DATAERR
    line = the_error_of(answer)
    assert complaint in line
    assert "datasets/bad.zip" in line
    assert not list(store.list("runs/"))
    assert not list(store.list("artifacts/"))


def test_a_step_before_its_input_says_which_to_run_first(store: Store, tmp_path: Path) -> None:
    answer = tasks("preprocess", "--run-id", "r1", cache=tmp_path)
    assert answer.returncode == os.EX_DATAERR
    assert "no result of 'fetch'" in the_error_of(answer)


def test_help_lists_every_command(tmp_path: Path) -> None:
    answer = tasks("--help", cache=tmp_path)
    assert answer.returncode == 0
    listed = {line.split()[0] for line in answer.stdout.splitlines() if line.startswith("    ")}
    assert {*STEP_NAMES, "predict", "retention"} <= listed


def test_retention_tells_what_it_would_do_and_an_option_out_of_range_is_named(
    store: Store, tmp_path: Path
) -> None:
    answer = tasks("retention", "--dry-run", "--active", "r1", "r2", cache=tmp_path)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "a dry run: would remove 0.0 MB of 0.0 MB" in answer.stdout
    answer = tasks("retention", "--config", '{"keep_reports": -1}', cache=tmp_path)
    assert answer.returncode == os.EX_CONFIG
    assert "option 'keep_reports' is -1: must be 0 or more" in the_error_of(answer)


@pytest.mark.parametrize("top", ["0", "-1", "x", "1.5"])
def test_a_number_of_classes_that_is_none_is_told(top: str, tmp_path: Path) -> None:
    answer = tasks("predict", "--model", "r1/train_transfer", f"--top={top}", "x", cache=tmp_path)
    assert answer.returncode == 2
    assert f"'{top}' is no number of classes: give 1 or more" in answer.stderr


FROM_STDIN = (*FETCH, "--environment-from-stdin")


def test_variables_may_come_by_standard_input_alone(
    store: Store, store_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in store_env:
        monkeypatch.delenv(name)
    answer = tasks(*FROM_STDIN, cache=tmp_path, given=json.dumps(store_env) + "\n")
    assert answer.returncode == os.EX_DATAERR
    assert "'datasets/oregon-wildlife.zip' in bucket" in the_error_of(answer)


@pytest.mark.parametrize("given", ["", "\n", "{", "[1]"])
def test_a_launcher_that_ends_before_it_sends_them_is_tried_again(
    given: str, tmp_path: Path
) -> None:
    answer = tasks(*FROM_STDIN, cache=tmp_path, given=given)
    assert answer.returncode == os.EX_TEMPFAIL
    assert "no environment arrived on standard input" in the_error_of(answer)
