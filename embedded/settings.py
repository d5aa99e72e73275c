"""Settings of the embedded stack: environment variables ``WILDLIFE_…``, or lines of ``.env``."""

from pathlib import Path
from typing import Annotated, Literal, Self

from dotenv import dotenv_values
from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent
ENV_FILE = ROOT / ".env"

#: How many ports from the S3 port on the store's parts take.
STORE_PORTS = 10

Port = Annotated[int, Field(ge=1024, le=65000)]


class Settings(BaseSettings):
    """Where the stack lives and listens. Everything binds to 127.0.0.1.

    Attributes:
        home: folder of all data, keys and logs; ignored by git.
        store_port: the store's S3 port; the store's own parts take the nine ports after it.
        airflow_port: Airflow's web page and API.
        bucket: name of the bucket.
        cache: the workers' folder of verified files; ``cache_gb`` is how large it may grow.
        runner: what a step runs in: a process, which needs nothing more, or a container.
    """

    model_config = SettingsConfigDict(
        env_prefix="WILDLIFE_", env_file=ENV_FILE, extra="ignore", frozen=True
    )

    home: Path = ROOT / ".wildlife"
    store_port: Port = 8333
    airflow_port: Port = 8080
    bucket: str = Field("wildlife", pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")

    cache: Path | None = None
    cache_gb: float = Field(50.0, gt=0, allow_inf_nan=False)
    runner: Literal["process", "docker"] = "process"

    @field_validator("home", "cache")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        """The programs of the stack run in folders of their own."""
        return path and path.expanduser().absolute()

    @model_validator(mode="after")
    def _ports_are_apart(self) -> Self:
        if self.store_port <= self.airflow_port < self.store_port + STORE_PORTS:
            raise ValueError(
                f"WILDLIFE_AIRFLOW_PORT {self.airflow_port} is one of the store's, which takes "
                f"{self.store_port} to {self.store_port + STORE_PORTS - 1}: choose another"
            )
        return self

    @property
    def store_url(self) -> str:
        return f"http://127.0.0.1:{self.store_port}"

    @property
    def airflow_url(self) -> str:
        return f"http://127.0.0.1:{self.airflow_port}"


def written_settings() -> dict[str, str]:
    """The lines of ``.env`` for programs that read the environment alone: ``WILDLIFE_…``, and
    ``AIRFLOW_CONN_…``, the connections by which alerts go.
    """
    written = dotenv_values(ENV_FILE)
    return {
        name: value
        for name, value in written.items()
        if name.startswith(("WILDLIFE_", "AIRFLOW_CONN_")) and value
    }
