"""Settings of the Airflow side: environment variables ``WILDLIFE_…`` of scheduler and workers."""

import json
import re
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from croniter import CroniterError, croniter
from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tasks.contract.config import Config, RetentionOptions
from tasks.contract.errors import ConfigurationError

#: As NVIDIA's tools name them: by number, or by UUID.
_GPU_ID = re.compile(r"\d+|(GPU|MIG)-[\w/-]+")

_CONNECTION = re.compile(r"[A-Za-z0-9_.-]*")
_ADDRESS = re.compile(r"[^@\s,<>\"]+@[^@\s,<>\"]+")

_CRON = "give a cron expression of five fields, as in '0 3 * * 1' (Mondays at 3:00 UTC), or @weekly"

GpuChoice = Literal["auto", "none"] | tuple[str, ...]
Chosen = TypeVar("Chosen", bound=BaseSettings)


class Settings(BaseSettings):
    """How and where steps run.

    Attributes:
        bucket: the bucket of the connection ``wildlife_store``.
        runner: what a step runs in: a container of its own, or a process of the worker.
        gpus: ``auto`` (what there is), ``none``, or device ids with commas between, which are then
            demanded: each training gets one of them, one after the other.
        retries: how often a step that may succeed later is tried again, ``retry_seconds`` apart.
        step_timeout_hours: after this a step is stopped.
        stop_seconds: how long a stopped step may take to finish what it is writing.
        owner: who answers for the workflow, as Airflow's pages show it.
        owner_link: where to reach them, ``mailto:`` or ``https://``; none unless set.
        schedule: when a run begins by itself, as a cron expression in UTC; never unless set.
        watch: key of the archive whose change begins a run, or ``on`` for the trigger form's.
        watch_seconds: between two looks at it.
        watch_settle_seconds: for so long a new archive must lie there unchanged.
        scheduled_options: options of the runs that begin by themselves, as a JSON object.
        promote_by: who lets the champion change: the rule by itself, or a person who is asked.
        promote_wait_hours: for so long a person is waited for.
        retention_schedule: when retention runs by itself, as a cron expression in UTC, or ``off``.
        retention_removes: whether it then removes; else it only tells what it would.
        retention_options: what is kept, as a JSON object; also what the trigger form begins with.
    """

    model_config = SettingsConfigDict(
        env_prefix="WILDLIFE_", env_ignore_empty=True, extra="ignore", frozen=True
    )

    bucket: str = "wildlife"
    runner: Literal["docker", "process"] = "docker"
    gpus: Annotated[GpuChoice, NoDecode] = "auto"
    retries: int = Field(2, ge=0, le=10)
    retry_seconds: float = Field(30, ge=0, allow_inf_nan=False)
    step_timeout_hours: float = Field(24, gt=0, allow_inf_nan=False)
    stop_seconds: int = Field(60, ge=0)
    owner: str = Field("wildlife", pattern=r"^[^,\s][^,]*$")
    owner_link: str = Field("", pattern=r"^(mailto:[^@\s]+@\S+|https?://[^/\s]+\S*)?$")
    schedule: str = ""
    watch: str = ""
    watch_seconds: float = Field(30, ge=1, allow_inf_nan=False)
    watch_settle_seconds: float = Field(60, ge=0, allow_inf_nan=False)
    scheduled_options: Annotated[dict[str, Any], NoDecode] = Field(default_factory=dict)
    promote_by: Literal["rule", "person"] = "rule"
    promote_wait_hours: float = Field(72, gt=0, le=24 * 365, allow_inf_nan=False)
    retention_schedule: str = "@weekly"
    retention_removes: bool = False
    retention_options: Annotated[dict[str, Any], NoDecode] = Field(default_factory=dict)

    @field_validator("schedule", "retention_schedule")
    @classmethod
    def _schedule(cls, value: str) -> str:
        if value == "off":
            return ""
        # croniter also takes a sixth field, of seconds, which Airflow's scheduler cannot keep.
        if value and len(value.split()) not in ((1,) if value.startswith("@") else (5,)):
            raise ValueError(_CRON)
        try:
            if value:
                croniter(value).get_next(datetime)  # some, such as 30 February, never come
        except CroniterError:
            raise ValueError(_CRON) from None
        return value

    @field_validator("watch")
    @classmethod
    def _watch(cls, value: str) -> str:
        if value in ("", "off"):
            return ""
        try:
            return Config.parse({} if value == "on" else {"archive": value}).archive
        except ConfigurationError:
            raise ValueError("give 'on', 'off', or the archive's key in the bucket") from None

    @field_validator("scheduled_options", "retention_options", mode="before")
    @classmethod
    def _options(cls, value: Any, info: ValidationInfo) -> Any:
        try:
            (Config if info.field_name == "scheduled_options" else RetentionOptions).parse(value)
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
        return json.loads(value) if isinstance(value, str) else value

    @field_validator("gpus", mode="before")
    @classmethod
    def _gpus(cls, value: Any) -> Any:
        if not isinstance(value, str) or value in ("auto", "none"):
            return value
        ids = tuple(part.strip() for part in value.split(","))
        if not all(map(_GPU_ID.fullmatch, ids)) or len(set(ids)) < len(ids):
            raise ValueError("give 'auto', 'none', or device ids with commas between, as in 0,1")
        return ids

    @property
    def gpu_slots(self) -> int:
        """How many trainings may run side by side."""
        return 1 if isinstance(self.gpus, str) else len(self.gpus)

    @property
    def owner_links(self) -> dict[str, str]:
        """As Airflow takes them: by owner."""
        return {self.owner: self.owner_link} if self.owner_link else {}

    @property
    def retry_delay(self) -> timedelta:
        return timedelta(seconds=self.retry_seconds)

    @property
    def promote_wait(self) -> timedelta:
        return timedelta(hours=self.promote_wait_hours)

    @property
    def step_timeout(self) -> timedelta:
        return timedelta(hours=self.step_timeout_hours)


class DockerSettings(BaseSettings):
    """The Docker engine of the worker, and what a step's container gets there.

    Attributes:
        url: ``unix://``, ``tcp://`` or ``ssh://``; empty takes DOCKER_HOST, else the local socket.
        tls_ca, tls_cert, tls_key: PEM files, for ``tcp://`` with TLS.
        image: of steps without a GPU: ``name:tag`` or ``name@sha256:…``.
        gpu_image: of steps that got a GPU.
        pull: when an image of a registry is pulled; one without a registry's name never is.
        connection: the Airflow connection of type ``docker`` that logs in to a private registry.
        network: Docker's name of the network; ``host`` reaches servers on the engine's machine.
        extra_hosts: ``name:address`` with commas between.
        memory_gb, cpus: limits, not shares; none unless set.
        shm_mb, tmp_mb: size of ``/dev/shm`` and of ``/tmp``, which lie in memory.
        pids: how many processes and threads there may be.
        user: number of the user and of the group.
        cache: a volume, or an absolute folder of the engine's machine that ``user`` may write to;
            the only thing that outlives a container.
        patience_seconds: for so long the engine may be out of reach before a step is given up on.
    """

    model_config = SettingsConfigDict(
        env_prefix="WILDLIFE_DOCKER_", env_ignore_empty=True, extra="ignore", frozen=True
    )

    url: str = Field("", pattern=r"^((unix|tcp|https?|ssh)://.+)?$")
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    image: str = "wildlife-tasks:cpu"
    gpu_image: str = "wildlife-tasks:gpu"
    pull: Literal["missing", "always"] = "missing"
    connection: str = ""
    network: str = "bridge"
    extra_hosts: Annotated[dict[str, str], NoDecode] = Field(default_factory=dict)
    memory_gb: float | None = Field(None, ge=0.25, allow_inf_nan=False)
    cpus: float | None = Field(None, gt=0, allow_inf_nan=False)
    shm_mb: int = Field(256, ge=1)
    tmp_mb: int = Field(1024, ge=16)
    pids: int = Field(4096, ge=64)
    user: str = Field("10001:10001", pattern=r"^\d+:\d+$")
    cache: str = Field("wildlife-cache", pattern=r"^(/.*|[a-zA-Z0-9][a-zA-Z0-9_.-]+)$")
    patience_seconds: float = Field(300, ge=0, allow_inf_nan=False)

    @field_validator("extra_hosts", mode="before")
    @classmethod
    def _hosts(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pairs = [pair.strip().partition(":") for pair in value.split(",")]
        if not all(name and address for name, _, address in pairs):
            raise ValueError("give name:address with commas between, as in store:10.0.0.7")
        return {name: address for name, _, address in pairs}

    @model_validator(mode="after")
    def _all_of_tls_or_nothing(self) -> Self:
        files = {"tls_ca": self.tls_ca, "tls_cert": self.tls_cert, "tls_key": self.tls_key}
        if any(files.values()):
            for name, file in files.items():
                variable = f"WILDLIFE_DOCKER_{name.upper()}"
                if file is None:
                    raise ValueError(f"{variable} is not set: TLS needs all three files")
                if not file.is_file():
                    raise ValueError(f"{variable} is {str(file)!r}: there is no such file")
        return self

    @property
    def tls(self) -> dict[str, str] | None:
        """The files as ``stopper.connect`` takes them, or None for a connection without TLS."""
        if self.tls_ca is None:
            return None
        return {
            "ca_cert": str(self.tls_ca),
            "cert": str(self.tls_cert),
            "key": str(self.tls_key),
        }


class AlertSettings(BaseSettings):
    """Who is told of what went wrong. Nobody is, unless a webhook or an address is set.

    Attributes:
        webhook: the Airflow connection of type ``http`` whose host is the whole address; it may
            hold a token, which stands in no setting, log or page then.
        mail: addresses, with commas between; Airflow's own connection for mail sends it.
        drop: share of the photos, 0..1, that may be lost from one run to the next, and by which the
            refused share may grow, before that is told.
        deadline_hours: for so long a run may wait and go on; for ever unless set.
    """

    model_config = SettingsConfigDict(
        env_prefix="WILDLIFE_ALERT_", env_ignore_empty=True, extra="ignore", frozen=True
    )

    webhook: str = ""
    mail: Annotated[tuple[str, ...], NoDecode] = ()
    drop: float = Field(0.05, ge=0, le=1)
    deadline_hours: float | None = Field(None, gt=0, allow_inf_nan=False)

    @field_validator("mail", mode="before")
    @classmethod
    def _mail(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        addresses = tuple(part.strip() for part in value.split(","))
        if not all(map(_ADDRESS.fullmatch, addresses)):
            raise ValueError("give addresses with commas between, as in rangers@example.org")
        return addresses

    @model_validator(mode="after")
    def _webhook_is_no_address(self) -> Self:
        if not _CONNECTION.fullmatch(
            self.webhook
        ):  # whoever put a token here does not find it told
            raise ValueError(
                "WILDLIFE_ALERT_WEBHOOK is not the id of an Airflow connection: make one of type "
                "'http' whose host is the webhook's address, and give its id"
            )
        return self

    @model_validator(mode="after")
    def _somebody_hears_of_a_deadline(self) -> Self:
        if self.deadline_hours and not self.are_on:
            raise ValueError(
                "WILDLIFE_ALERT_DEADLINE_HOURS is set, and nobody would be told: set "
                "WILDLIFE_ALERT_WEBHOOK or WILDLIFE_ALERT_MAIL, too"
            )
        return self

    @property
    def are_on(self) -> bool:
        return bool(self.webhook or self.mail)


@cache
def settings() -> Settings:
    """How and where steps run, as this process is set up.

    Raises:
        ConfigurationError: names the variable and what it may be.
    """
    return _read(Settings)


@cache
def docker_settings() -> DockerSettings:
    """The engine and the containers, as this process is set up.

    Raises:
        ConfigurationError: names the variable and what it may be.
    """
    return _read(DockerSettings)


@cache
def alert_settings() -> AlertSettings:
    """Who is told of what, as this process is set up.

    Raises:
        ConfigurationError: names the variable and what it may be.
    """
    return _read(AlertSettings)


def _read(kind: type[Chosen]) -> Chosen:
    try:
        return kind()
    except ValidationError as error:
        fault = error.errors()[0]
        complaint = fault["msg"].removeprefix("Value error, ")
        if not fault["loc"]:
            raise ConfigurationError(complaint) from None
        name = f"{kind.model_config['env_prefix']}{fault['loc'][0]}".upper()
        raise ConfigurationError(f"{name} is {fault['input']!r}: {complaint}") from None
