"""What a new site gets, and what running init again leaves as somebody made it."""

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from werkzeug.security import check_password_hash, generate_password_hash

from tasks.contract.store import Store, StoreSettings

pytestmark = pytest.mark.airflow
ROOT = Path(__file__).resolve().parents[3]
BUCKET = "made-by-init"
PASSWORD = "correct horse battery"


@dataclass
class Site:
    """A site's secrets and its database, which is SQLite here and Postgres there."""

    folder: Path
    environment: dict[str, str] = field(repr=False)

    def init(self, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "wildlife.site.init"],
            env=self.environment | settings,
            capture_output=True,
            text=True,
        )

    def secret(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def users(self, *users: dict[str, str]) -> None:
        self.secret("users.json", json.dumps(users))

    def ask(self, query: str) -> list[tuple[object, ...]]:
        with sqlite3.connect(self.folder / "airflow.db") as database:
            return database.execute(query).fetchall()

    def bucket(self) -> Store:
        environment = self.environment
        return Store(
            StoreSettings(
                BUCKET,
                environment["WILDLIFE_STORE_URL"],
                access_key=(self.folder / "store_access_key").read_text(),
                secret_key=(self.folder / "store_secret_key").read_text().strip(),
            )
        )


def user(name: str, role: str, password: str = PASSWORD) -> dict[str, str]:
    return {"username": name, "password": password, "role": role, "email": f"{name}@localhost"}


@pytest.fixture(scope="module")
def site(store_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "WILDLIFE"))
    }
    environment |= {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}",
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder / 'airflow.db'}",
        "AIRFLOW__CORE__AUTH_MANAGER": (
            "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
        ),
        "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "WILDLIFE_BUCKET": BUCKET,
        "WILDLIFE_STORE_URL": store_env["AWS_ENDPOINT_URL"],
        "WILDLIFE_SECRETS": str(folder),
    }
    made = Site(folder, environment)
    made.secret("store_access_key", store_env["AWS_ACCESS_KEY_ID"])
    made.secret("store_secret_key", store_env["AWS_SECRET_ACCESS_KEY"] + "\n")
    made.users(user("admin", "Admin"))
    answer = made.init()
    assert answer.returncode == 0, answer.stderr
    assert "made-by-init" in answer.stdout
    return made


def test_a_new_site_has_bucket_pool_connection_and_user(site: Site) -> None:
    site.bucket().require_bucket()
    assert site.ask("SELECT slots FROM slot_pool WHERE pool = 'gpu'") == [(1,)]
    [(kind, login)] = site.ask("SELECT conn_type, login FROM connection")
    assert (kind, login) == ("aws", (site.folder / "store_access_key").read_text())
    [(name, role)] = site.ask(
        "SELECT username, r.name FROM ab_user u JOIN ab_user_role ur ON ur.user_id = u.id "
        "JOIN ab_role r ON r.id = ur.role_id"
    )
    assert (name, role) == ("admin", "Admin")


def test_the_database_holds_no_secret_that_can_be_read(site: Site) -> None:
    content = (site.folder / "airflow.db").read_bytes()
    assert (site.folder / "store_secret_key").read_text().strip().encode() not in content
    assert PASSWORD.encode() not in content


def test_again_it_keeps_slots_and_passwords_and_follows_the_secrets(site: Site) -> None:
    changed = generate_password_hash("changed by its owner")
    with sqlite3.connect(site.folder / "airflow.db") as database:
        database.execute("UPDATE slot_pool SET slots = 3 WHERE pool = 'gpu'")
        database.execute("UPDATE ab_user SET password = ? WHERE username = 'admin'", (changed,))
    site.users(user("admin", "Viewer"), user("reader", "Viewer"))
    answer = site.init(WILDLIFE_STORE_REGION="eu-north-1")
    assert answer.returncode == 0, answer.stderr
    assert site.ask("SELECT slots FROM slot_pool WHERE pool = 'gpu'") == [(3,)]
    [(extra,)] = site.ask("SELECT extra FROM connection WHERE conn_id = 'wildlife_store'")
    decoded = Fernet(site.environment["AIRFLOW__CORE__FERNET_KEY"]).decrypt(str(extra))
    assert json.loads(decoded)["region_name"] == "eu-north-1"
    passwords = dict(site.ask("SELECT username, password FROM ab_user"))
    assert check_password_hash(str(passwords["admin"]), "changed by its owner")
    assert check_password_hash(str(passwords["reader"]), PASSWORD)


@pytest.mark.parametrize(
    ("name", "content", "code", "words"),
    [
        ("users.json", "", 78, ["users.json", "is empty"]),
        ("users.json", json.dumps([user("a", "Admin", "short")]), 78, ["0.password", "12"]),
        ("users.json", json.dumps([user("b", "King")]), 78, ["'King'", "Viewer"]),
        ("store_secret_key", "wrong", 77, ["refuses the keys", "store_secret_key"]),
    ],
    ids=["no users", "short password", "unknown role", "wrong key"],
)
def test_what_is_wrong_is_one_line(
    site: Site, name: str, content: str, code: int, words: list[str]
) -> None:
    good = (site.folder / name).read_text()
    site.secret(name, content)
    try:
        answer = site.init()
    finally:
        site.secret(name, good)
    lines = [line for line in answer.stderr.splitlines() if line.startswith("init failed: ")]
    assert answer.returncode == code, answer.stderr
    assert len(lines) == 1
    assert all(word in lines[0] for word in words), lines
    assert "short'" not in lines[0]
