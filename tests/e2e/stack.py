"""A store and an Airflow of a test's own."""

from pathlib import Path

from embedded.ports import free_ports
from embedded.settings import STORE_PORTS, Settings


def stack_in(home: Path) -> Settings:
    """Its settings: all is kept in this folder, ports are free ones, steps are processes."""
    first = free_ports(STORE_PORTS + 1)
    return Settings(
        _env_file=None,
        home=home,
        store_port=first,
        airflow_port=first + STORE_PORTS,
        runner="process",
    )
