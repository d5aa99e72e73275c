"""Settings and options from outside: used as meant, or refused in one line."""

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from embedded.__main__ import _parsed, main
from embedded.process import Program, StackError
from embedded.settings import Settings, written_settings


def test_a_relative_home_is_taken_from_where_the_user_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings(_env_file=None, home=Path("here")).home == tmp_path / "here"


def test_airflow_s_port_among_the_store_s_is_refused() -> None:
    with pytest.raises(ValueError, match="WILDLIFE_AIRFLOW_PORT 8335 is one of the store's"):
        Settings(_env_file=None, store_port=8333, airflow_port=8335)


def test_options_are_split_as_a_shell_does() -> None:
    assert _parsed("title='My photos' seed=7 force=true") == {
        "title": "My photos",
        "seed": 7,
        "force": True,
    }


def test_a_title_that_is_a_number_is_a_title() -> None:
    assert _parsed("title=123") == {"title": "123"}


@pytest.mark.parametrize("value", ["1" * 5000, "[" * 100_000])
def test_a_value_that_no_parser_takes_is_no_crash(value: str) -> None:
    assert _parsed(f"seed={value}") == {"seed": value}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("epochs", "has no value"), ("title='x", "check its quotes")],
)
def test_options_that_are_no_pairs_are_told(text: str, complaint: str) -> None:
    with pytest.raises(StackError, match=complaint):
        _parsed(text)


def test_a_home_that_is_a_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("WILDLIFE_HOME", str(file))
    assert main(["up"]) == 1
    assert capsys.readouterr().err.startswith("up: Not a directory")


def test_an_env_file_that_is_no_text_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_bytes(b"WILDLIFE_BUCKET=\xff\n")
    monkeypatch.setattr("embedded.settings.ENV_FILE", tmp_path / ".env")
    assert main(["up"]) == 1
    assert capsys.readouterr().err.startswith("up: .env is not UTF-8 text")


def test_lines_of_the_env_file_reach_the_programs_that_are_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ("WILDLIFE_GPUS=0,1", "WILDLIFE_HOME=", "OTHER=1", 'AIRFLOW_CONN_CHAT={"host": "x"}')
    (tmp_path / ".env").write_text("\n".join(lines))
    monkeypatch.setattr("embedded.settings.ENV_FILE", tmp_path / ".env")
    assert written_settings() == {"WILDLIFE_GPUS": "0,1", "AIRFLOW_CONN_CHAT": '{"host": "x"}'}


def test_down_ends_what_a_killed_stack_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WILDLIFE_HOME", str(tmp_path))
    program = Program("airflow-scheduler", tmp_path)
    child = "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
    program.start([sys.executable, "-c", child], os.environ)
    leader = program.find()
    assert leader is not None
    deadline = time.monotonic() + 10
    while not (children := leader.children()) and time.monotonic() < deadline:
        time.sleep(0.05)
    leader.kill()
    assert main(["down"]) == 0
    assert capsys.readouterr().out == "nothing was running\n"
    gone, alive = psutil.wait_procs(children, timeout=5)
    assert gone
    assert not alive
