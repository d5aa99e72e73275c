"""Everything on one machine: a real object store and a real Airflow, for trying and developing.

``make run``, ``make up`` and ``make down`` are this package. A site runs its own store and Airflow
and needs none of it.
"""
