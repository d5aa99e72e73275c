"""Room for what a training writes, asked for before it is needed."""

import errno
import os
import shutil
from pathlib import Path

import keras

#: A variable is four bytes, whatever the precision of the computation.
_BYTES = 4


def require_room(folder: Path, network: keras.Model, copies: int) -> None:
    """See that so many copies of a network's weights fit on a folder's disk.

    HDF5, which would find a full disk by itself, then crashes the process on its way out.

    Raises:
        OSError: ENOSPC, with what is needed and what is free.
    """
    needed = copies * _BYTES * network.count_params()
    free = shutil.disk_usage(folder).free
    if free < needed:
        reason = (
            f"{os.strerror(errno.ENOSPC)} ({needed / 1e6:.0f} MB needed, {free / 1e6:.0f} free)"
        )
        raise OSError(errno.ENOSPC, reason, str(folder))
