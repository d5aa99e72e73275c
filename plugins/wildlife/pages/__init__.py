"""The pages inside Airflow: what the runs left in the bucket, in Airflow's own look.

One module per page, each with a router; ``app`` puts them behind one door.
"""
