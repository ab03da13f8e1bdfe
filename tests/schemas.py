"""Outputs held against the JSON Schema that ships, more strictly than it asks: nothing that it does not describe."""

from __future__ import annotations

from typing import Any

import jsonschema

from fpg.record.schema import load_schema


def closed(value: Any) -> Any:
    """A schema in which objects with named properties have no others."""
    if isinstance(value, list):
        return [closed(item) for item in value]
    if not isinstance(value, dict):
        return value
    shut = {key: closed(item) for key, item in value.items()}
    if isinstance(value.get("properties"), dict) and "required" in value and "additionalProperties" not in value:
        shut["unevaluatedProperties"] = False
    return shut


def strict(name: str) -> jsonschema.Draft202012Validator:
    """Of one of the schema's `$defs`."""
    schema = load_schema()
    definitions = {key: closed(value) for key, value in schema["$defs"].items()}
    if name == "line":  # two objects in one: each would shut out the other's properties
        result, own = schema["$defs"]["result"], schema["$defs"]["line"]["allOf"][1]
        merged = {
            "properties": result["properties"] | own["properties"],
            "required": result["required"] + own["required"],
            "type": "object",
        }
        definitions["line"] = closed(merged)
    return jsonschema.Draft202012Validator({"$schema": schema["$schema"], "$defs": definitions, "$ref": f"#/$defs/{name}"})


def check_output(value: Any, name: str = "file") -> None:
    """Assert that a value is what the schema says of a `file`, `line`, `result` or `verification`."""
    jsonschema.Draft202012Validator(load_schema()).validate(value)
    strict(name).validate(value)
