"""The workflow's steps. What runs inside a container, a plain process, or a person's shell.

Nothing in this package imports Airflow: see ``docs/architecture.md``.
"""
