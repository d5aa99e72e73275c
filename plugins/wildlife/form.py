"""The DAG's trigger form, made from the one model of all options."""

from collections.abc import Mapping
from typing import Any, get_args

from airflow.sdk import Param

from tasks.contract.config import PATTERNS_IN_WORDS, Config, Options, Section
from wildlife.links import ARCHIVES_LINK

#: What pydantic's JSON schema and Airflow's form spell the same way.
_KEYWORDS = (
    *("type", "title", "section", "enum", "values_display", "examples", "pattern", "maxLength"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
)
_SECTIONS: tuple[Section, ...] = get_args(Section)
#: More to read on an option, in Markdown.
_MORE = {"archive": f"[Archives in the bucket]({ARCHIVES_LINK})"}


def trigger_form(
    model: type[Options] = Config, defaults: Mapping[str, Any] | None = None
) -> dict[str, Param]:
    """A parameter of the DAG for each option, section by section.

    The first section has no name here: Airflow calls it "Run Parameters", and it is the only one
    that its form opens by itself.

    Args:
        defaults: in the place of the model's own.
    """
    options = model.model_json_schema()["properties"]
    for name, value in (defaults or {}).items():
        options[name]["default"] = value
    by_section = sorted(options, key=lambda name: _SECTIONS.index(options[name]["section"]))
    return {name: _parameter(name, options[name]) for name in by_section}


def chosen_options(parameters: dict[str, Any]) -> dict[str, Any]:
    """What was entered; a field that was left empty means the option's default."""
    return {name: value for name, value in parameters.items() if value is not None}


def _parameter(name: str, schema: dict[str, Any]) -> Param:
    if "anyOf" in schema:  # a number, or null for what the recipe says
        number, _ = schema.pop("anyOf")
        schema |= number | {"type": [number["type"], "null"]}
    keywords = {keyword: schema[keyword] for keyword in _KEYWORDS if keyword in schema}
    if keywords["section"] == _SECTIONS[0]:
        del keywords["section"]
    default = schema["default"]
    if default == "":
        # Airflow's form takes an empty text for a missing one, and sends null for it.
        keywords["type"] = ["string", "null"]
        default = None
    # In place of ``description``, which Airflow's form shows as plain text: no links.
    told = (schema["description"], _allowed(name, schema), _MORE.get(name))
    help_text = " ".join(filter(None, told))
    return Param(default, description_md=help_text, **keywords)


def _allowed(name: str, schema: dict[str, Any]) -> str:
    """What is allowed, in words.

    Airflow's form moves a number into its range without a word, and says no more than "Bad Request"
    of a text that does not match its pattern.
    """
    if "pattern" in schema:
        return f"It is {PATTERNS_IN_WORDS[name]}."
    if "exclusiveMinimum" in schema:
        return (
            f"Above {_spelled(schema['exclusiveMinimum'])}, at most {_spelled(schema['maximum'])}."
        )
    if "minimum" in schema:
        return f"From {_spelled(schema['minimum'])} to {_spelled(schema['maximum'])}."
    return ""


def _spelled(number: float) -> str:
    return f"{number:,}".removesuffix(".0")
