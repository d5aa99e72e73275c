"""The object store as an Airflow connection, looked up when it is needed and never before."""

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from tasks.contract.errors import AccessDeniedError
from wildlife.identity import CONNECTION_ID
from wildlife.settings import settings


def store_environment() -> dict[str, str]:
    """The variables with which a step, or boto3, reaches the store. They hold its keys.

    Raises:
        AccessDeniedError: there is no such connection.
    """
    try:
        connection = BaseHook.get_connection(CONNECTION_ID)
    except AirflowNotFoundException:
        raise AccessDeniedError(
            f"there is no Airflow connection {CONNECTION_ID!r}: make one of type 'aws' with the "
            "store's access key, secret key and, in its extra, endpoint_url"
        ) from None
    extra = connection.extra_dejson
    found = {
        "WILDLIFE_BUCKET": settings().bucket,
        "AWS_ENDPOINT_URL": extra.get("endpoint_url"),
        "AWS_DEFAULT_REGION": extra.get("region_name"),
        "AWS_ACCESS_KEY_ID": connection.login,
        "AWS_SECRET_ACCESS_KEY": connection.password,
    }
    return {name: value for name, value in found.items() if value}
