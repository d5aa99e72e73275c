"""What a step leaves behind: a manifest of verified files, and a record that a run used it.

Files are written first and the manifest last, in one atomic put: a manifest that exists is
complete. A file lies under its own digest and a name of its publication, so recomputing a step
never touches a file that somebody else is reading or removing.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tasks.contract.bounded import Moment
from tasks.contract.errors import ConfigurationError

#: Raised when the layout of manifests or records changes in a way old readers cannot follow.
MANIFEST_FORMAT = 1

#: A run id, as a pattern: it is one folder name of the bucket and of a disk.
RUN_ID = r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,199}"


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileReference(_Document):
    """One stored object: where it lies and what its bytes must be.

    ``etag`` is what the store called these bytes when they were put. It lets a cache hit be
    verified with a HEAD; a reader checks ``size`` (bytes) and ``sha256`` (hex).
    """

    key: str
    size: int
    sha256: str
    etag: str


class Manifest(_Document):
    """The complete result of one step.

    Attributes:
        fingerprint: what determined the result; part of the storage key.
        options: the step's slice of the configuration.
        inputs: digest of every input, by name.
        files: the step's files, by name.
        facts: what the step found out, as JSON; the same for the same inputs.
        measurements: what may differ from one execution to the next (seconds, rates, device).
        produced_by: run, source revision and library versions, for provenance only.
        used: when a step last found it; told by the published manifest alone, never by a record.
    """

    format: int = MANIFEST_FORMAT
    step: str
    fingerprint: str
    options: dict[str, Any]
    inputs: dict[str, str]
    files: dict[str, FileReference]
    facts: dict[str, Any] = Field(default_factory=dict)
    measurements: dict[str, Any] = Field(default_factory=dict)
    produced_by: dict[str, str] = Field(default_factory=dict)
    created: datetime
    used: datetime | None = None

    @property
    def key(self) -> str:
        return artifact_key(self.step, self.fingerprint, "manifest.json")

    @property
    def digest(self) -> str:
        """Digest of the content (file bytes and facts), not of how or when it was made.

        The next step's fingerprint rests on this, so a step that was recomputed to the same
        bytes does not make everything after it run again.
        """
        return digest_of(
            {
                "step": self.step,
                "files": {name: file.sha256 for name, file in self.files.items()},
                "facts": self.facts,
            }
        )


class RunRecord(_Document):
    """That a run has a step's result, and whether it had to compute it.

    Lies at ``runs/<run_id>/<step>.json`` and carries the manifest, so that a reader needs nothing
    else. A step removes its record when it starts: a record that exists is of a finished step.
    """

    format: int = MANIFEST_FORMAT
    run_id: str
    step: str
    cached: bool
    started: Moment
    finished: Moment
    manifest: Manifest


def record_key(run_id: str, step: str) -> str:
    return f"runs/{checked_run_id(run_id)}/{step}.json"


def progress_key(run_id: str, step: str) -> str:
    return f"runs/{checked_run_id(run_id)}/{step}.progress.json"


def report_prefix(run_id: str) -> str:
    return f"reports/{checked_run_id(run_id)}/"


def artifact_key(step: str, fingerprint: str, name: str) -> str:
    return f"artifacts/{step}/{fingerprint}/{name}"


def checkpoint_key(step: str, fingerprint: str, name: str) -> str:
    return f"checkpoints/{step}/{fingerprint}/{name}"


def is_run_id(name: str) -> bool:
    return re.fullmatch(RUN_ID, name) is not None


def checked_run_id(run_id: str) -> str:
    """The run id itself, if it is safe as one folder name of the bucket and of a disk.

    Raises:
        ConfigurationError: for anything that is not a plain name.
    """
    if not is_run_id(run_id):
        raise ConfigurationError(
            f"run id {run_id!r} cannot name a folder: use letters, digits and _ . : + - only, "
            "at most 200 of them, beginning with a letter or digit"
        )
    return run_id


def digest_of(document: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of a JSON document in its one canonical spelling."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def now() -> datetime:
    return datetime.now(UTC)
