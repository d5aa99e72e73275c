"""Keeping TensorFlow's first lines out of the log.

They are for its developers (which kernels are on, that there is no CUDA driver), come before any
of its log levels is in force, and begin with a letter and four zeros.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_NOISE = re.compile(rb"[IWE]0000 |WARNING: All log messages before absl::InitializeLog")

#: Keras' and TensorFlow's own log level; read when TensorFlow is first imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@contextmanager
def hushed() -> Iterator[None]:
    """Within it, what is written to standard error comes out at its end, without that noise."""
    sys.stderr.flush()
    outside = os.dup(2)
    with tempfile.TemporaryFile() as inside:
        os.dup2(inside.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(outside, 2)
            os.close(outside)
            inside.seek(0)
            rest = [line for line in inside if not _NOISE.match(line)]
            os.write(2, b"".join(rest))
