"""What an alert says, and where it leads."""

from dataclasses import dataclass
from typing import Literal

from airflow.sdk.configuration import conf

from wildlife.identity import DAG_ID
from wildlife.links import report_link, run_link

Kind = Literal["failure", "data drop", "quality drop", "deadline missed"]

#: A chat shows no more, and a mail's subject takes no more.
_LONGEST = 500


@dataclass(frozen=True)
class Alert:
    """One thing that went wrong with a run.

    Attributes:
        said: what, in one line that names the run.
    """

    kind: Kind
    run_id: str
    said: str

    @property
    def link(self) -> str:
        """The address of the run's report, or of the run if it has none."""
        page = report_link if self.kind in ("data drop", "quality drop") else run_link
        address = conf.get("api", "base_url", fallback="") or "http://localhost:8080"
        return f"{address.rstrip('/')}/{page(self.run_id)}"

    @property
    def document(self) -> dict[str, str]:
        """For a webhook. Chats show ``text`` alone, so the link is in it, too."""
        return {
            "kind": self.kind,
            "text": f"{self.said} {self.link}",
            "dag_id": DAG_ID,
            "run_id": self.run_id,
            "link": self.link,
        }


def in_one_line(text: str) -> str:
    """Text that no line break, and no length, can make more of than a line."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
