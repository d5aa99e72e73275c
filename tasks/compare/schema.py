"""The JSON schema of ``summary.json``, as each report has it beside its summary.

``python -m tasks.compare.schema > docs/summary.schema.json`` brings the documentation's copy up to
date.
"""

import json

from pydantic.json_schema import GenerateJsonSchema

from tasks.compare.summary import Summary


def summary_schema() -> str:
    """JSON Schema, draft 2020-12."""
    dialect = {"$schema": GenerateJsonSchema.schema_dialect}
    return json.dumps(dialect | Summary.model_json_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(summary_schema(), end="")
