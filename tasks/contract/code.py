"""The digest of a package's source: what makes results of the same code comparable.

Only the standard library, so that ``python3 -m tasks.contract.code`` prints the digest of ``tasks``
where nothing is installed: the image's build does so, and its label can be checked anywhere.
"""

import hashlib
import importlib.util
import json
from functools import cache
from pathlib import Path


@cache
def code_digest(module: str) -> str:
    """SHA-256 (hex) over a module's source, or over all files of a package by relative name."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    if spec.submodule_search_locations is None:
        return _sha256_of(Path(spec.origin))
    root = Path(spec.origin).parent
    digests = {
        path.relative_to(root).as_posix(): _sha256_of(path)
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    canonical = json.dumps(digests, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    print(code_digest("tasks"))
