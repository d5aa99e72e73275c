"""The published schema is that of the model."""

from pathlib import Path

from tasks.compare.schema import summary_schema

DOCUMENTED = Path(__file__).resolve().parents[2] / "docs" / "summary.schema.json"


def test_the_documented_schema_is_the_models() -> None:
    assert DOCUMENTED.read_text() == summary_schema(), (
        "bring it up to date: python -m tasks.compare.schema > docs/summary.schema.json"
    )
