"""Who gets in by which door: asks every route of the pages as every kind of user, and prints it.

A program of its own, because a process has one auth manager: ``python -m tests.plugins.pages.access
simple`` or ``fab``. Prints JSON: ``{route: {who: status}}``.
"""

import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

from tests.plugins.airflow_home import AIRFLOW_HOME  # first: Airflow reads its settings on import

BASE = "http://localhost:8080"
MANAGERS = {
    "simple": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
    "fab": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
}
#: Who may read the DAG's runs, and who may not, of each auth manager. ``nobody`` logs in and has
#: no right at all; ``other_dag`` may read the runs of another DAG alone.
READERS = {
    "simple": ("viewer", "user", "op", "admin"),
    "fab": ("viewer", "user", "op", "admin", "this_dag"),
}
OTHERS = {"simple": ("nobody",), "fab": ("nobody", "public", "other_dag")}
#: An example for each parameter of a path; a new parameter wants a new one.
EXAMPLES = {"run_id": "run-1", "name": "index.html", "step": "train_scratch"}


def routes() -> list[str]:
    """Every path of the application, and that there is nothing in it but plain routes."""
    from fastapi.routing import APIRoute

    from wildlife.pages.app import app

    assert all(isinstance(route, APIRoute) for route in app.routes)
    return [f"{method} {route.path}" for route in app.routes for method in sorted(route.methods)]


def example(path: str) -> str:
    if path == "/static/{name}":
        return "/static/pages.css"
    return re.sub(r"\{(\w+)[^}]*\}", lambda match: EXAMPLES[match[1]], path)


def main(manager: str) -> None:
    os.environ["AIRFLOW__CORE__AUTH_MANAGER"] = MANAGERS[manager]
    users = ",".join(f"{name}:{name}" for name in READERS["simple"])
    os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] = users
    passwords = {name: name for name in READERS["simple"]}
    (AIRFLOW_HOME / "passwords.json").write_text(json.dumps(passwords))
    logging.disable(logging.WARNING)
    from airflow.api_fastapi.app import create_app
    from airflow.utils.db import initdb

    initdb()
    if manager == "fab":
        _make_fab_users()
    airflow = create_app(apps="core")
    tokens = {name: _token(airflow, manager, name) for name in READERS[manager] + OTHERS[manager]}
    table = {route: dict(_asked(airflow, tokens, route)) for route in routes()}
    print(json.dumps(table))


def _asked(airflow: Any, tokens: dict[str, str], route: str) -> Iterator[tuple[str, int]]:
    from fastapi.testclient import TestClient

    method, _, path = route.partition(" ")
    url = f"/wildlife{example(path)}"

    def status(headers: dict[str, str] | None = None, cookie: str | None = None) -> int:
        client = TestClient(airflow, base_url=BASE, follow_redirects=False)
        if cookie is not None:
            client.cookies.set("_token", cookie)
        return client.request(method, url, headers=headers).status_code

    yield "anonymous", status()
    yield "anonymous, a browser", status({"Accept": "text/html,*/*"})
    yield "made-up token", status({"Authorization": "Bearer made.up.token"})
    yield "made-up cookie", status(cookie="made.up.token")
    for name, token in tokens.items():
        yield f"{name}, by token", status({"Authorization": f"Bearer {token}"})
        yield f"{name}, by cookie", status(cookie=token)


def _token(airflow: Any, manager: str, name: str) -> str:
    from fastapi.testclient import TestClient

    if manager == "simple" and name == "nobody":  # nobody can be given no role by its settings
        from airflow.api_fastapi.app import get_auth_manager
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

        return get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=name, role=None))
    client = TestClient(airflow, base_url=BASE)
    answer = client.post("/auth/token", json={"username": name, "password": name})
    assert answer.status_code in (200, 201), f"{name}: {answer.text}"
    return str(answer.json()["access_token"])


def _make_fab_users() -> None:
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
    from airflow.providers.fab.auth_manager.models.db import FABDBManager
    from airflow.utils.session import create_session

    with create_session() as session:
        FABDBManager(session).initdb()
    with get_application_builder() as builder:
        manager = builder.sm
        manager.sync_roles()
        roles = {
            name: manager.find_role(name.capitalize())
            for name in ("viewer", "user", "op", "admin", "public")
        }
        roles["nobody"] = manager.add_role("Nobody")
        for name, dag_id in (("this_dag", "oregon_wildlife"), ("other_dag", "another")):
            roles[name] = manager.add_role(name)
            for resource in (f"DAG:{dag_id}", f"DAG Run:{dag_id}"):
                permission = manager.create_permission("can_read", resource)
                manager.add_permission_to_role(roles[name], permission)
        for name, role in roles.items():
            mail = f"{name}@example.org"
            assert manager.add_user(name, name, name, mail, role, password=name), name


if __name__ == "__main__":
    main(sys.argv[1])
