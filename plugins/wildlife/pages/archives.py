"""The archives in the bucket, each with the key that the trigger form wants."""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from tasks.contract.store import Store
from wildlife.pages.bucket import aside, open_store
from wildlife.pages.serving import page

router = APIRouter()

_PREFIX = "datasets/"
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Archive:
    """An object that may be an archive: ``size`` and ``changed`` are in words."""

    key: str
    size: str
    changed: str


@router.get("/archives")
@aside
def list_archives(request: Request) -> HTMLResponse:
    """Every archive of the bucket, the newest first."""
    return page(request, "archives.html.j2", archives=archives_in(open_store()))


def archives_in(store: Store) -> list[Archive]:
    """What lies below ``datasets/``, the newest first; folders of some clients are left out."""
    found = [
        (head.last_modified, head)
        for head in store.list(_PREFIX)
        if head.size and head.last_modified
    ]
    found.sort(key=lambda dated: dated[0], reverse=True)
    return [
        Archive(head.key, size_in_words(head.size), f"{changed:%Y-%m-%d %H:%M} UTC")
        for changed, head in found
    ]


def size_in_words(size: float) -> str:
    """Three digits and a unit of powers of 1,000: ``4.17 GB``."""
    unit = 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.3g} {_UNITS[unit]}" if unit else f"{size:.0f} {_UNITS[0]}"
