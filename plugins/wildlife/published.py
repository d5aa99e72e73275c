"""What the workflow publishes inside Airflow: other DAGs can be scheduled on it."""

from airflow.sdk import Asset

REPORT = Asset("wildlife_report", "wildlife://report")
MODEL_SCRATCH = Asset("wildlife_model_scratch", "wildlife://model/scratch")
MODEL_TRANSFER = Asset("wildlife_model_transfer", "wildlife://model/transfer")
