"""How the pages are answered: templates, headers, and addresses behind whatever proxy."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from wildlife.identity import DAG_ID, MOUNT

_ALWAYS = "frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
#: Without scripts a sandbox also holds off what leads elsewhere by itself (``<meta refresh>``).
_SANDBOX = (
    "sandbox allow-same-origin allow-downloads allow-popups allow-popups-to-escape-sandbox "
    "allow-top-navigation-by-user-activation"
)
#: For what a step wrote, and for whatever else shows no page of ours: it runs and fetches nothing.
FILE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src data: 'self'; style-src 'unsafe-inline'; "
        f"{_ALWAYS}; {_SANDBOX}"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-cache",
}
#: For pages of ours: scripts, styles and data from files of ours, nothing inline.
PAGE_HEADERS = FILE_HEADERS | {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data: 'self'; "
        f"connect-src 'self'; frame-src 'self'; {_ALWAYS}"
    ),
}

_TEMPLATES = Environment(
    autoescape=True,
    loader=PackageLoader("wildlife.pages"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["percent"] = lambda share: f"{100 * share:.1f} %"
_TEMPLATES.filters["signed"] = lambda share: f"{100 * share:+.1f}"
_TEMPLATES.filters["day"] = lambda when: f"{when.astimezone(UTC):%Y-%m-%d}"
_TEMPLATES.filters["clock"] = lambda when: f"{when.astimezone(UTC):%H:%M} UTC"
_TEMPLATES.filters["minute"] = lambda when: f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
_TEMPLATES.filters["shortened"] = lambda text: text if len(text) <= 160 else f"{text[:159]}…"


def page(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **content: Any,
) -> HTMLResponse:
    """A page of ours.

    Args:
        template: a file of ``templates/``, which extends ``base.html.j2``.
        content: the template's variables, beside ``mount`` (the path of the pages) and ``airflow``
            (the path of Airflow itself, without a slash at the end).
    """
    text = _TEMPLATES.get_template(template).render(
        mount=mount(request), airflow=airflow(request), dag_id=DAG_ID, **content
    )
    return HTMLResponse(text, status, headers=PAGE_HEADERS | dict(headers or {}))


def load_templates() -> None:
    """Compile them all, which each would be when it is first needed."""
    for name in _TEMPLATES.list_templates():
        _TEMPLATES.get_template(name)


def message(
    request: Request, status: int, text: str, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """A page that says one thing and leads back to the list.

    With a header ``Retry-After`` it also comes again by itself.
    """
    again = (headers or {}).get("Retry-After")
    return page(request, "message.html.j2", status=status, headers=headers, text=text, again=again)


def mount(request: Request) -> str:
    """The path of the pages, such as ``/wildlife``."""
    return airflow(request) + MOUNT


def airflow(request: Request) -> str:
    """The path that Airflow itself has: empty, or what a proxy puts before it."""
    return str(request.scope.get("root_path", "")).removesuffix(MOUNT)
