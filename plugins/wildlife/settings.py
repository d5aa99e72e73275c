"""Settings of the Airflow side: environment variables ``WILDLIFE_…`` of scheduler and workers."""

from datetime import timedelta
from functools import cache
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tasks.contract.errors import ConfigurationError


class Settings(BaseSettings):
    """How and where steps run.

    Attributes:
        bucket: the bucket of the connection ``wildlife_store``.
        runner: what a step runs in; ``process`` is a process of the worker itself.
        retries: how often a step that may succeed later is tried again, ``retry_seconds`` apart.
        step_timeout_hours: after this a step is stopped.
        stop_seconds: how long a stopped step may take to finish what it is writing.
    """

    model_config = SettingsConfigDict(
        env_prefix="WILDLIFE_", env_ignore_empty=True, extra="ignore", frozen=True
    )

    bucket: str = "wildlife"
    runner: Literal["process"] = "process"
    retries: int = Field(2, ge=0, le=10)
    retry_seconds: float = Field(30, ge=0)
    step_timeout_hours: float = Field(24, gt=0)
    stop_seconds: float = Field(60, ge=0)

    @property
    def retry_delay(self) -> timedelta:
        return timedelta(seconds=self.retry_seconds)

    @property
    def step_timeout(self) -> timedelta:
        return timedelta(hours=self.step_timeout_hours)


@cache
def settings() -> Settings:
    """The settings of this process.

    Raises:
        ConfigurationError: names the variable and what it may be.
    """
    try:
        return Settings()
    except ValidationError as error:
        fault = error.errors()[0]
        name = f"WILDLIFE_{str(fault['loc'][0]).upper()}"
        raise ConfigurationError(f"{name} is {fault['input']!r}: {fault['msg']}") from None
