"""The object store: the only thing that steps share. Any S3 server, through boto3 alone."""

import hashlib
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Self

import boto3
import botocore.session
from boto3.exceptions import Boto3Error, S3UploadFailedError
from botocore.config import Config as ClientConfig
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ResponseStreamingError,
)
from botocore.exceptions import (
    ConnectionError as EndpointError,
)
from botocore.utils import parse_timestamp

from tasks.contract.download import download
from tasks.contract.errors import (
    AccessDeniedError,
    ConfigurationError,
    InputError,
    StepError,
    UnavailableError,
)
from tasks.contract.manifest import FileReference
from tasks.contract.patience import PAUSES

_CHUNK = 1 << 20
#: The most keys that S3 takes in one request.
_DELETED_AT_ONCE = 1000


@dataclass(frozen=True)
class StoreSettings:
    """Where the bucket is. Without keys, AWS' own chain is asked (environment, profile, role)."""

    bucket: str
    endpoint_url: str | None = None
    region: str = "us-east-1"
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        bucket = environment.get("WILDLIFE_BUCKET", "")
        if not bucket:
            raise ConfigurationError(
                "WILDLIFE_BUCKET is not set: export the name of the bucket that holds the data sets"
            )
        return cls(
            bucket=bucket,
            endpoint_url=environment.get("AWS_ENDPOINT_URL") or None,
            region=environment.get("AWS_DEFAULT_REGION") or "us-east-1",
            access_key=environment.get("AWS_ACCESS_KEY_ID") or None,
            secret_key=environment.get("AWS_SECRET_ACCESS_KEY") or None,
        )


@dataclass(frozen=True)
class ObjectHead:
    """What a HEAD tells.

    Attributes:
        sha256: hex; known of files that ``Store.upload`` put.
        version_id: the bucket's own name for this upload, if it keeps versions.
        last_modified: when it was put; known of objects that ``Store.list`` found.
    """

    key: str
    size: int
    etag: str
    sha256: str | None = None
    version_id: str | None = None
    last_modified: datetime | None = None

    @property
    def version(self) -> str:
        """What tells one upload of an object from another."""
        return f"{self.etag}-{self.size}"


@dataclass(frozen=True)
class Upload:
    """An upload in parts that has begun: it takes room, and no listing of objects shows it."""

    key: str
    id: str
    begun: datetime


class Store:
    """One bucket. Every failure is a ``StepError`` whose one line names the object."""

    def __init__(self, settings: StoreSettings, *, patient: bool = True) -> None:
        """Open a bucket; nothing is asked of it yet.

        Args:
            patient: try again for a while when the store does not answer, as a step should; a
                page, which somebody waits for, should not.
        """
        self.settings = settings
        self.bucket = settings.bucket
        with self._translated(""):
            self._client = _session().client(
                "s3",
                endpoint_url=settings.endpoint_url,
                region_name=settings.region,
                aws_access_key_id=settings.access_key,
                aws_secret_access_key=settings.secret_key,
                config=ClientConfig(
                    connect_timeout=5 if patient else 1,
                    read_timeout=60 if patient else 5,
                    retries={"mode": "standard", "total_max_attempts": 4 if patient else 1},
                    max_pool_connections=40,  # four uploads at once, of up to ten parts each
                ),
            )

    @classmethod
    def from_environment(cls, bucket: str | None = None) -> Self:
        """The bucket that the environment names, or another one of the same store."""
        other = {} if bucket is None else {"WILDLIFE_BUCKET": bucket}
        return cls(StoreSettings.from_environment(os.environ | other))

    def head(self, key: str) -> ObjectHead | None:
        """Size (bytes) and ETag of an object, or None if there is none.

        Raises:
            InputError: there is no such bucket.
            AccessDeniedError, UnavailableError: as for every call.
        """
        try:
            with self._translated(key):
                answer = self._client.head_object(Bucket=self.bucket, Key=key)
                _require(answer, "ETag")
        except _MissingObjectError:
            self.require_bucket()  # a HEAD answers 404 for a missing bucket just the same
            return None
        return ObjectHead(
            key,
            answer["ContentLength"],
            answer["ETag"].strip('"'),
            answer.get("Metadata", {}).get("sha256"),
            answer.get("VersionId"),
        )

    def require_bucket(self) -> None:
        try:
            with self._translated(""):
                self._client.head_bucket(Bucket=self.bucket)
        except _MissingObjectError:
            raise self._no_bucket() from None

    def list(self, prefix: str) -> Iterator[ObjectHead]:
        """All objects below a prefix, in key order."""
        with self._translated(prefix):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
                _require(page, "IsTruncated")
                for item in page.get("Contents", ()):
                    yield ObjectHead(
                        item["Key"],
                        item["Size"],
                        item["ETag"].strip('"'),
                        last_modified=item["LastModified"],
                    )

    def folders(self, prefix: str) -> Iterator[str]:
        """Names of the folders right below a prefix that ends in a slash, in order."""
        with self._translated(prefix):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.bucket, Prefix=prefix, Delimiter="/"):
                _require(page, "IsTruncated")
                for folder in page.get("CommonPrefixes", ()):
                    yield folder["Prefix"].removeprefix(prefix).removesuffix("/")

    def read(self, key: str, most: int | None = None) -> bytes | None:
        """The whole of a small object, or None if there is none.

        Raises:
            TooLargeError: it has more than so many bytes.
        """
        try:
            with self._translated(key):
                answer = self._client.get_object(Bucket=self.bucket, Key=key)
                return self._whole(answer, key, most)
        except _MissingObjectError:
            return None

    def read_if_new(
        self, key: str, etag: str | None, most: int | None = None
    ) -> tuple[bytes, str] | None:
        """The whole of a small object and its ETag, or None if that is still ``etag``.

        An object that is not there is empty, and so is its ETag.

        Raises:
            TooLargeError: it has more than so many bytes.
        """
        condition = {"IfNoneMatch": f'"{etag}"'} if etag else {}
        try:
            with self._translated(key):
                answer = self._client.get_object(Bucket=self.bucket, Key=key, **condition)
                return self._whole(answer, key, most), answer["ETag"].strip('"')
        except _UnchangedError:
            return None
        except _MissingObjectError:
            return b"", ""

    def _whole(self, answer: Mapping[str, Any], key: str, most: int | None) -> bytes:
        with closing(answer["Body"]) as body:
            _require(answer, "ETag")
            if most is not None and answer["ContentLength"] > most:
                raise TooLargeError(
                    f"{self.uri(key)} has {answer['ContentLength']:,} bytes, larger than the "
                    f"{most:,} that it may have: fetch it yourself"
                )
            return bytes(body.read())

    def write(self, key: str, content: bytes, content_type: str = "application/json") -> None:
        """Put a small object in one atomic request."""
        with self._translated(key):
            self._client.put_object(
                Bucket=self.bucket, Key=key, Body=content, ContentType=content_type
            )

    def replace(self, key: str, content: bytes, etag: str) -> bool:
        """Put a small JSON object if it is still the one that was read; of several, one does.

        Args:
            etag: of what was read, as ``read_if_new`` told it; empty if there was no object.

        Returns:
            False if it is another one by now. After an answer that was lost on its way, the other
            one may be what this call itself has put: read it.
        """
        condition = {"IfMatch": f'"{etag}"'} if etag else {"IfNoneMatch": "*"}
        try:
            with self._translated(key):
                self._client.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=content,
                    ContentType="application/json",
                    **condition,
                )
        except (_ReplacedError, _MissingObjectError):
            self.require_bucket()
            return False
        return True

    def delete(self, key: str) -> None:
        with self._translated(key):
            self._client.delete_object(Bucket=self.bucket, Key=key)

    def delete_if(self, key: str, etag: str) -> bool:
        """Delete an object if it is still the one with this ETag; False if it is not."""
        try:
            with self._translated(key):
                self._client.delete_object(Bucket=self.bucket, Key=key, IfMatch=f'"{etag}"')
        except (_ReplacedError, _MissingObjectError):
            return False
        return True

    def delete_all(self, keys: Sequence[str]) -> None:
        """Delete many objects, a thousand with each request; one that is not there is no fault."""
        for start in range(0, len(keys), _DELETED_AT_ONCE):
            some = [{"Key": key} for key in keys[start : start + _DELETED_AT_ONCE]]
            with self._translated(keys[start]):
                answer = self._client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": some, "Quiet": True}
                )
            for fault in answer.get("Errors", ()):
                raise UnavailableError(
                    f"the store did not delete {self.uri(fault['Key'])} ({fault['Code']}): "
                    "try again later"
                )

    def unfinished_uploads(self, prefix: str) -> Iterator[Upload]:
        """The uploads in parts below a prefix that were begun and never ended."""
        with self._translated(prefix):
            pages = self._client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
                for item in page.get("Uploads", ()):
                    yield Upload(item["Key"], item["UploadId"], item["Initiated"])

    def abort_upload(self, upload: Upload) -> None:
        """Drop the parts of an unfinished upload; one that has ended meanwhile is no fault."""
        with suppress(_MissingObjectError), self._translated(upload.key):
            self._client.abort_multipart_upload(
                Bucket=self.bucket, Key=upload.key, UploadId=upload.id
            )

    def upload(self, path: Path, key: str, sha256: str, content_type: str) -> FileReference:
        """Put a file of a known SHA-256 (in parts if it is large) and say what was put."""
        extra = {"ContentType": content_type, "Metadata": {"sha256": sha256}}
        with self._translated(key):
            self._client.upload_file(str(path), self.bucket, key, ExtraArgs=extra)
        head = self.head(key)
        size = path.stat().st_size
        if head is None or head.size != size:
            raise UnavailableError(
                f"the store did not keep {self.uri(key)} whole "
                f"({head.size if head else 0} of {size} bytes): try again"
            )
        return FileReference(key=key, size=size, sha256=sha256, etag=head.etag)

    def copy(self, source: str, target: str, content_type: str) -> None:
        """Copy an object inside the bucket, without its bytes passing through here."""
        with self._translated(source):
            self._client.copy_object(
                Bucket=self.bucket,
                Key=target,
                CopySource={"Bucket": self.bucket, "Key": source},
                ContentType=content_type,
                MetadataDirective="REPLACE",
            )

    def download(
        self,
        head: ObjectHead,
        target: Path,
        progress: Callable[[int], object] = lambda _received: None,
        pauses: tuple[float, ...] = PAUSES,
    ) -> str:
        """Bring exactly the version of an object that ``head`` describes into a file.

        Parts come at once, each pinned to the ETag and, in a versioned bucket, to the version.

        Args:
            progress: called with the number of bytes received so far, after each chunk.
            pauses: seconds before each new attempt when nothing comes.

        Returns:
            SHA-256 (hex) of the bytes.

        Raises:
            InputError: the object changed or vanished meanwhile.
            UnavailableError: it kept breaking.
        """
        download(partial(self._range, head), head.size, target, progress, pauses)
        return sha256_of(target)

    def read_range(self, head: ObjectHead, start: int, stop: int) -> bytes:
        """Some bytes of exactly the version of an object that ``head`` describes.

        Raises:
            InputError: the object changed or vanished meanwhile, or ends before ``stop``.
        """
        return b"".join(self._range(head, start, stop))

    def _range(self, head: ObjectHead, start: int, stop: int) -> Generator[bytes, None, None]:
        """The bytes from ``start`` to before ``stop``, as they come."""
        pinned = {"Bucket": self.bucket, "Key": head.key, "IfMatch": f'"{head.etag}"'}
        if head.version_id is not None:
            pinned["VersionId"] = head.version_id
        try:
            with self._translated(head.key):
                answer = self._client.get_object(**pinned, Range=f"bytes={start}-{stop - 1}")
                with closing(answer["Body"]) as body:
                    self._require_range(answer, start, stop, head)
                    yield from body.iter_chunks(_CHUNK)
        except _MissingObjectError:
            raise InputError(
                f"{self.uri(head.key)} vanished while it was being read: put it back"
            ) from None

    def _require_range(
        self, answer: Mapping[str, Any], start: int, stop: int, head: ObjectHead
    ) -> None:
        """A server may send something else than it was asked for, such as the whole."""
        sent = answer.get("ContentRange", f"bytes 0-{answer['ContentLength'] - 1}/{head.size}")
        if sent != f"bytes {start}-{stop - 1}/{head.size}":
            raise InputError(
                f"{self.uri(head.key)} sent {sent} instead of bytes {start}-{stop - 1} of "
                f"{head.size}: check the object and run again"
            )

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def _no_bucket(self) -> InputError:
        return InputError(
            f"there is no bucket {self.bucket!r} at {self.settings.endpoint_url or 'AWS'}: "
            "create it, or set WILDLIFE_BUCKET to the right name"
        )

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        where = self.settings.endpoint_url or "AWS"
        try:
            yield
        except (ClientError, S3UploadFailedError) as error:
            raise self._explain(error, key) from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise AccessDeniedError(
                f"no access key for the object store at {where}: set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY (in Airflow: the connection 'wildlife_store')"
            ) from error
        except (
            ConnectionError,
            EndpointError,
            HTTPClientError,
            IncompleteReadError,
            ResponseStreamingError,
        ) as error:
            raise UnavailableError(
                f"the object store at {where} does not answer ({type(error).__name__}): start it, "
                "or set AWS_ENDPOINT_URL to where it is"
            ) from error
        except KeyError as error:  # botocore requires nothing of an answer
            raise ConfigurationError(
                f"the server at {where} answers without {error}, as no object store does: check "
                "AWS_ENDPOINT_URL"
            ) from error
        except (BotoCoreError, Boto3Error, ValueError) as error:
            if isinstance(error, StepError):
                raise
            raise ConfigurationError(
                f"the object store's settings do not work ({error}): check AWS_ENDPOINT_URL "
                "and WILDLIFE_BUCKET"
            ) from error

    def _explain(self, error: Exception, key: str) -> Exception:
        # An upload in parts wraps the store's answer in an error of its own.
        answered = error if isinstance(error, ClientError) else error.__context__
        response = getattr(answered, "response", {}) or {}
        code = str(response.get("Error", {}).get("Code", ""))
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        text = f"{code} {error}"
        if "NoSuchBucket" in text:
            return self._no_bucket()
        if code in ("404", "NoSuchKey", "NoSuchUpload", "NotFound"):
            return _MissingObjectError(key)
        if status == 304:
            return _UnchangedError(key)
        if status in (401, 403) or "AccessDenied" in text or "SignatureDoesNotMatch" in text:
            return AccessDeniedError(
                f"the object store refused the access key for {self.uri(key)}: check "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (in Airflow: the connection "
                "'wildlife_store')"
            )
        if status == 412 or code == "ConditionalRequestConflict":
            return _ReplacedError(
                f"{self.uri(key)} was replaced while it was being read: run again to use "
                "the new one"
            )
        if status >= 500 or status == 429:
            return UnavailableError(
                f"the object store failed on {self.uri(key)} (HTTP {status} {code}): "
                "try again later"
            )
        return InputError(f"the object store refused {self.uri(key)}: {error}")


def _require(answer: Mapping[str, Any], name: str) -> None:
    """To botocore any page of the web is an object, or an empty listing; a store says more."""
    if name not in answer:
        raise KeyError(name)


def _session() -> boto3.Session:
    """A session that reads dates faster: they took half the time of a long listing."""
    session = botocore.session.get_session()
    factory = session.get_component("response_parser_factory")
    factory.set_parser_defaults(timestamp_parser=_timestamp)
    return boto3.Session(botocore_session=session)


def _timestamp(value: Any) -> datetime:
    """As botocore's own, which guesses the format each time; that of a listing is known."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        found = None
    return found if found is not None and found.tzinfo else parse_timestamp(value)


class TooLargeError(InputError):
    """An object has more bytes than its reader takes."""


class _UnchangedError(Exception):
    """A 304: the object is the one that was known."""


class _ReplacedError(InputError):
    """A 412: the object is another one than was asked for."""


class _MissingObjectError(Exception):
    """A 404; each caller knows what it means there."""


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
