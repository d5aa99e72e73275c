"""The DAG's trigger form, made from the one model of all options."""

from typing import Any

from airflow.sdk import Param

from tasks.contract.config import Config

#: What pydantic's JSON schema and Airflow's form spell the same way.
_KEYWORDS = (
    *("type", "title", "section", "enum", "examples", "pattern", "maxLength"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
)


def trigger_form() -> dict[str, Param]:
    """A parameter of the DAG for each option, with its range, help text and section."""
    options = Config.model_json_schema()["properties"]
    return {name: _parameter(schema) for name, schema in options.items()}


def chosen_options(parameters: dict[str, Any]) -> dict[str, Any]:
    """What was entered; a field that was left empty means the option's default."""
    return {name: value for name, value in parameters.items() if value is not None}


def _parameter(schema: dict[str, Any]) -> Param:
    if "anyOf" in schema:  # a number, or null for what the recipe says
        number, _ = schema.pop("anyOf")
        schema |= number | {"type": [number["type"], "null"]}
    keywords = {name: schema[name] for name in _KEYWORDS if name in schema}
    default = schema["default"]
    if default == "":
        # Airflow's form takes an empty text for a missing one, and sends null for it.
        keywords["type"] = ["string", "null"]
        default = None
    return Param(default, description=schema["description"] + _range(schema), **keywords)


def _range(schema: dict[str, Any]) -> str:
    """The numbers that are allowed, in words: Airflow's form checks them but does not show them."""
    if "exclusiveMinimum" in schema:
        return f" Above {schema['exclusiveMinimum']:g}, at most {schema['maximum']:g}."
    if "minimum" in schema:
        return f" {schema['minimum']:,} to {schema['maximum']:,}."
    return ""
