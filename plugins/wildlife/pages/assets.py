"""The pages' own style sheet and scripts, from ``static/`` beside this module."""

from pathlib import Path

from fastapi import APIRouter, HTTPException, Response

from wildlife.pages.serving import FILE_HEADERS

router = APIRouter()

_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
#: All of them, read once: no path is ever made of a request.
_FILES = {
    path.name: (path.read_bytes(), _TYPES[path.suffix])
    for path in (Path(__file__).parent / "static").iterdir()
    if path.suffix in _TYPES
}


@router.get("/static/{name}")
def read_asset(name: str) -> Response:
    """A style sheet or a script."""
    if name not in _FILES:
        raise HTTPException(404, "There is no file of this name.")
    content, kind = _FILES[name]
    return Response(content, media_type=kind, headers=FILE_HEADERS)
