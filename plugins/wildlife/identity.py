"""Names that the DAG, the operators and the pages have in common."""

DAG_ID = "oregon_wildlife"
MAINTENANCE_DAG_ID = "wildlife_maintenance"
CONNECTION_ID = "wildlife_store"
#: Where the plugin's pages are mounted.
MOUNT = "/wildlife"
#: States after which a task does not run again unless somebody clears it.
ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")
