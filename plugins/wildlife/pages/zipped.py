"""A run's report as one zip."""

import io
import re
import zipfile

from fastapi import HTTPException

from tasks.contract.store import Store

#: A report of the real archive has some 20 MB. It is put together in memory.
_MOST_BYTES, _MOST_FILES = 100_000_000, 1000
#: These are compressed already.
_AS_THEY_ARE = ("png", "jpg")


def zipped(store: Store, prefix: str, names: re.Pattern[str]) -> bytes | None:
    """The files right below a prefix, in a folder of the zip that is named as the prefix' last.

    Args:
        names: what a file's name must be; others, and those in folders below, are left out.

    Returns:
        None if there is none.

    Raises:
        HTTPException: 413, they are too large to be put together here.
    """
    heads = [head for head in store.list(prefix) if names.match(head.key.removeprefix(prefix))]
    if sum(head.size for head in heads) > _MOST_BYTES or len(heads) > _MOST_FILES:
        raise HTTPException(
            413,
            f"{store.uri(prefix)} is larger than {_MOST_BYTES // 10**6} MB or has more than "
            f"{_MOST_FILES:,} files: fetch it yourself",
        )
    folder = re.sub(r"[^A-Za-z0-9_.+-]", "_", prefix.rstrip("/").rpartition("/")[2])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for head in heads:
            content = store.read(head.key)
            if content is None:
                continue  # the comparison is being published again
            stored = head.key.endswith(_AS_THEY_ARE)
            archive.writestr(
                f"{folder}/{head.key.removeprefix(prefix)}",
                content,
                zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED,
            )
    return buffer.getvalue() if heads else None
