"""Names that the DAG, the operators and the pages have in common."""

DAG_ID = "oregon_wildlife"
CONNECTION_ID = "wildlife_store"
#: Where the plugin's pages are mounted.
MOUNT = "/wildlife"
