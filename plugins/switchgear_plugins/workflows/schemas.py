"""JSON Schema, held to what somebody else wrote: no schema is fetched from anywhere, and patterns take linear time."""

import re
from typing import Any

import jsonschema_rs

from switchgear.errors import InvalidRequest

_MOST_NAMED = 5
_NOWHERE = re.compile(r"it refers to .*, and nothing is fetched")


def validator(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    """Compile a schema. Raises ValueError for one that is none, or refers to another place."""
    try:
        return jsonschema_rs.validator_for(
            schema, retriever=_nowhere, pattern_options=jsonschema_rs.RegexOptions(size_limit=1_000_000)
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        text = str(error).partition("\n")[0]
        ours = _NOWHERE.search(text)
        raise ValueError(f"is no JSON Schema that can be used: {text if ours is None else ours[0]}") from None


def check(value: Any, schema: jsonschema_rs.Validator, name: str) -> None:
    """Hold a value to a schema. Raises `InvalidRequest` naming the first places where it does not fit."""
    wrong = [
        (it.instance_path, it.message) for it, _ in zip(schema.iter_errors(value), range(_MOST_NAMED), strict=False)
    ]
    if wrong:
        said = "; ".join(f"`{'.'.join([name, *map(str, path)])}`: {message[:200]}" for path, message in wrong)
        param = ".".join([name, *map(str, wrong[0][0])])
        raise InvalidRequest(
            f"The input does not fit the workflow's schema: {said}.", param=param, code="invalid_input"
        )


def _nowhere(uri: str) -> Any:
    raise ValueError(f"it refers to {uri[:200]}, and nothing is fetched")
