"""``python -m wildlife.site.init``: makes what a site needs before its first run.

The database's tables, the bucket, the pool of the trainings, the connection to the store, and the
users. It runs at every start of the site, and what is there already stays as somebody made it: the
pool's slots, a user's role and password. The connection alone follows the site's secrets, so new
keys of the store come into force by running it again.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import boto3
from airflow.models import Connection, Pool
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from airflow.utils.session import create_session
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import select

from tasks.contract.errors import (
    AccessDeniedError,
    ConfigurationError,
    StepError,
    UnavailableError,
)
from wildlife.identity import CONNECTION_ID
from wildlife.settings import settings

_POOL = "gpu"
_POOL_IS_FOR = "Trainings at once: one slot for each GPU of the site"
_STORE_SECONDS = 60


class Site(BaseSettings):
    """Where the store is, and where the secrets lie.

    Attributes:
        store_url: the S3 endpoint as workers and steps reach it; empty for AWS' own.
        store_region: of the bucket.
        secrets: folder of the files ``store_access_key``, ``store_secret_key`` and ``users.json``.
    """

    model_config = SettingsConfigDict(
        env_prefix="WILDLIFE_", env_ignore_empty=True, extra="ignore", frozen=True
    )

    store_url: str = ""
    store_region: str = "us-east-1"
    secrets: Path = Path("/run/secrets")

    def secret(self, name: str) -> str:
        """Raises ConfigurationError: there is no such file, or nothing in it."""
        file = self.secrets / name
        try:
            found = file.read_text().strip()
        except OSError as error:
            raise ConfigurationError(
                f"the secret {file} cannot be read ({error.strerror}): 'make site' makes it"
            ) from None
        if not found:
            raise ConfigurationError(f"the secret {file} is empty: write it into that file")
        return found


class User(BaseModel):
    """One of those who may log in.

    Attributes:
        role: Admin, Op, User, Viewer, or one of the site's own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: str = Field(min_length=1)
    password: str = Field(min_length=12, repr=False)
    role: str
    email: str = Field(min_length=3)


def main() -> int:
    """Run the command line; returns the exit status."""
    try:
        site = Site()
        users = _users(site)
        migrate()
        ensure_bucket(site, settings().bucket)
        ensure_pool(settings().gpu_slots)
        put_connection(site)
        ensure_users(users)
    except StepError as error:
        print(f"init failed: {error}", file=sys.stderr)
        return error.exit_code
    return os.EX_OK


def migrate() -> None:
    """Make the tables of Airflow and of its login, or bring them up to this version.

    Raises:
        UnavailableError: Airflow's own program failed; it has said why.
    """
    # In a process of its own: this one may open the database only once it is of this version.
    if subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"]).returncode != 0:
        raise UnavailableError("the database could not be migrated (see above): mend it, try again")
    print("database: of this version")


def ensure_bucket(site: Site, bucket: str) -> None:
    """Make the bucket unless there is one; a store that has just been started is waited for.

    Raises:
        AccessDeniedError, UnavailableError: the store refuses, or does not answer.
    """
    client = boto3.client(
        "s3",
        endpoint_url=site.store_url or None,
        region_name=site.store_region,
        aws_access_key_id=site.secret("store_access_key"),
        aws_secret_access_key=site.secret("store_secret_key"),
        config=ClientConfig(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1}),
    )
    where, deadline = f"s3://{bucket} at {site.store_url or 'AWS'}", time.monotonic()
    deadline += _STORE_SECONDS
    while True:
        try:
            client.head_bucket(Bucket=bucket)
            print(f"bucket: {where} is there")
            return
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            reason = f"HTTP status {status}"
            if status in (401, 403):
                raise AccessDeniedError(
                    f"the store refuses the keys for {where}: check store_access_key and "
                    f"store_secret_key in {site.secrets}"
                ) from error
            if status == 404 and _made(client, bucket):
                print(f"bucket: {where} made")
                return
        except BotoCoreError as error:
            reason = type(error).__name__
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"the store does not answer for {where} ({reason}): start it, or check "
                "WILDLIFE_STORE_URL"
            )
        time.sleep(1)


def _made(client: "boto3.client", bucket: str) -> bool:
    region = client.meta.region_name
    elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        client.create_bucket(Bucket=bucket, **({} if region == "us-east-1" else elsewhere))
    except (ClientError, BotoCoreError):
        return False  # not yet, perhaps; the reason of the next HEAD is told
    return True


def ensure_pool(slots: int) -> None:
    """Make the pool of the trainings; its slots stay as somebody set them."""
    with create_session() as session:
        known = session.scalar(select(Pool).where(Pool.pool == _POOL))
        if known is None:
            known = Pool(pool=_POOL, slots=slots, description=_POOL_IS_FOR, include_deferred=False)
            session.add(known)
        print(f"pool {_POOL}: {known.slots} slot{'s' if known.slots != 1 else ''}")


def put_connection(site: Site) -> None:
    """Write the connection to the store as the secrets have it."""
    extra = {"region_name": site.store_region}
    if site.store_url:
        extra["endpoint_url"] = site.store_url
    with create_session() as session:
        connection = session.scalar(select(Connection).where(Connection.conn_id == CONNECTION_ID))
        if connection is None:
            connection = Connection(conn_id=CONNECTION_ID)
            session.add(connection)
        connection.conn_type = "aws"
        connection.description = "The object store; written by wildlife.site.init at every start"
        connection.login = site.secret("store_access_key")
        connection.set_password(site.secret("store_secret_key"))
        connection.set_extra(json.dumps(extra))
    print(f"connection {CONNECTION_ID}: {site.store_url or 'AWS'}")


def ensure_users(users: Sequence[User]) -> None:
    """Make who is not there yet; the others keep the role and password they have.

    Raises:
        ConfigurationError: there is no such role, or the e-mail address is somebody else's.
    """
    with get_application_builder() as builder:
        for user in users:
            if builder.sm.find_user(username=user.username):
                print(f"user {user.username}: is there")
                continue
            role = builder.sm.find_role(user.role)
            if role is None:
                known = ", ".join(sorted(one.name for one in builder.sm.get_all_roles()))
                raise ConfigurationError(
                    f"users.json gives {user.username!r} the role {user.role!r}: choose of {known}"
                )
            name = user.username
            if not builder.sm.add_user(name, name, "", user.email, role, user.password):
                raise ConfigurationError(
                    f"the user {name!r} could not be made: is {user.email!r} somebody else's?"
                )
            print(f"user {name}: made, {user.role}")


def _users(site: Site) -> list[User]:
    try:
        return TypeAdapter(list[User]).validate_json(site.secret("users.json"))
    except ValidationError as error:
        fault = error.errors(include_input=False)[0]  # which may be a password
        where = ".".join(str(part) for part in fault["loc"]) or "the whole"
        raise ConfigurationError(
            f"{site.secrets / 'users.json'}: {where}: {fault['msg']}; give a list of objects with "
            "username, password, role and email"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
