"""Delivers alerts, or says in the log that it could not. It never fails, and takes seconds.

Airflow ends a worker's callback twenty seconds after its task, and a mail server that is mute would
be waited for for minutes. So each way has a thread of its own, which is left to itself in the end.
The notifiers' ``notify`` is called, not the notifiers themselves: these would render what a run or
a class is called as a template.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from html import escape
from queue import Empty, Queue
from threading import Thread
from urllib.parse import urlsplit

from airflow.sdk import BaseHook, Context
from airflow.sdk.log import mask_secret

from wildlife.alerts.alert import Alert, in_one_line
from wildlife.settings import alert_settings

log = logging.getLogger(__name__)

#: For so long all deliveries of an alert together may take, and the answer to one request.
_PATIENCE_SECONDS, _ANSWER_SECONDS = 12.0, 5.0
#: Before the second and the third try.
_PAUSES = (1.0, 3.0)

_NO_CONTEXT = Context()


def deliver(*alerts: Alert) -> None:
    """All of them, by every way that is set, at once."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    results: list[tuple[Alert, str, Queue[str]]] = []
    for alert in alerts:
        for name, way in _ways():
            result: Queue[str] = Queue()
            Thread(target=_persist, args=(way, alert, result), daemon=True).start()
            results.append((alert, name, result))
    for alert, name, result in results:
        fault = f"no answer within {_PATIENCE_SECONDS:g} seconds"
        with suppress(Empty):
            fault = result.get(timeout=max(0.0, deadline - time.monotonic()))
        if fault:
            log.error("the alert of a %s could not be delivered by %s: %s", alert.kind, name, fault)
        else:
            log.info("the alert of a %s was delivered by %s", alert.kind, name)


def _ways() -> Iterator[tuple[str, Callable[[Alert], None]]]:
    """Those that are set, and what the log calls them."""
    chosen = alert_settings()
    if chosen.webhook:
        yield f"the webhook of connection {chosen.webhook!r}", partial(_by_webhook, chosen.webhook)
    if chosen.mail:
        yield "mail", partial(_by_mail, chosen.mail)


def _persist(way: Callable[[Alert], None], alert: Alert, result: "Queue[str]") -> None:
    """Try thrice; the result is empty if one try succeeded, else what the last one met."""
    fault = ""
    for pause in (*_PAUSES, 0.0):
        try:
            way(alert)
        except Exception as error:  # noqa: BLE001 whatever a server, a proxy or a library does
            fault = f"{type(error).__name__}: {in_one_line(str(error))}"
            time.sleep(pause)
        else:
            result.put("")
            return
    result.put(fault)


def _by_webhook(connection_id: str, alert: Alert) -> None:
    from airflow.providers.http.notifications import HttpNotifier  # the DAG is parsed without it

    _mask(BaseHook.get_connection(connection_id).host or "")
    notifier = HttpNotifier(
        http_conn_id=connection_id,
        json=alert.document,
        extra_options={"timeout": _ANSWER_SECONDS},
    )
    notifier.notify(_NO_CONTEXT)


def _mask(address: str) -> None:
    """Keep what is secret of a webhook's address out of all logs.

    Airflow hides passwords; an address that does not answer would stand in its error.
    """
    parts = urlsplit(address)
    for secret in (parts.path.strip("/"), parts.query):
        if secret:
            mask_secret(secret)


def _by_mail(addresses: Sequence[str], alert: Alert) -> None:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    notifier = SmtpNotifier(
        to=list(addresses),
        subject=in_one_line(f"{alert.kind}: {alert.run_id}").capitalize(),
        html_content=(
            f'<p>{escape(alert.said)}</p><p><a href="{escape(alert.link)}">'
            f"{escape(alert.link)}</a></p>"
        ),
    )
    notifier.notify(_NO_CONTEXT)
