"""What the workflow publishes inside Airflow: other DAGs can be scheduled on it."""

from airflow.sdk import Asset, AssetAlias

REPORT = Asset("wildlife_report", "wildlife://report")
MODEL_SCRATCH = Asset("wildlife_model_scratch", "wildlife://model/scratch")
MODEL_TRANSFER = Asset("wildlife_model_transfer", "wildlife://model/transfer")
CHAMPION = Asset("wildlife_champion", "wildlife://champion")
#: The outlet for it: an asset would be published whenever its node succeeds.
IF_PROMOTED = AssetAlias("wildlife_champion")
