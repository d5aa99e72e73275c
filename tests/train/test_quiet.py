"""TensorFlow's first lines stay out of the log; everything else gets through."""

import os

import pytest

from tasks.train.quiet import hushed


def test_only_the_noise_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    with hushed():
        os.write(2, b"I0000 00:00:1.2 port.cc:153] oneDNN custom operations are on.\n")
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called ...\n")
        os.write(2, b"a real warning\n")
    os.write(2, b"E0000 00:00:1.2 afterwards\n")
    assert capfd.readouterr().err == "a real warning\nE0000 00:00:1.2 afterwards\n"


def test_what_was_said_before_a_failure_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with hushed():
            os.write(2, b"libcudnn is missing\n")
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert capfd.readouterr().err == "libcudnn is missing\n"
