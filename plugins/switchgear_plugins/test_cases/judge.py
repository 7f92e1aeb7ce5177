"""Looks at patterns, paths and schemas that somebody wrote, in a process of its own: `python -m` this module.

Reads `{"text": …, "assertions": [{"type", …}]}` and writes `[{"passed", "detail"}]`. What takes too long or too much memory
ends with the process; whoever asked says so.
"""

import json
import resource
import sys
from typing import Any

_CPU_S = 5
_MEMORY = 2 * 1024**3
_MOST_TEXT = 1_000_000
_RE2_MEMORY = 8 * 1024 * 1024
_MOST_NODES = 10_000
_MOST_DETAIL = 500


def check(task: dict[str, Any]) -> None:
    """Refuse a pattern, path or schema that cannot be used. Raises ValueError."""
    match task["type"]:
        case "regex":
            _compiled(task["pattern"])
        case "json_path":
            _path(task["path"])
        case "json_schema":
            _validator(task["schema"])


def judge(text: str, task: dict[str, Any]) -> str:
    """Say what is wrong; nothing where it holds. Raises ValueError for what cannot be used."""
    if len(text) > _MOST_TEXT:
        return f"the answer has more than {_MOST_TEXT} characters"
    if task["type"] == "regex":
        return "" if _compiled(task["pattern"]).search(text) else "the pattern is not found in it"
    try:
        found = json.loads(_without_fence(text))
    except (ValueError, RecursionError):
        return "it is not JSON"
    if task["type"] == "json_path":
        return _at_path(task, found)
    errors = [
        f"{'/'.join(map(str, it.instance_path)) or 'the answer'}: {it.message}"
        for it in _first(_validator(task["schema"]).iter_errors(found))
    ]
    return "; ".join(errors)


def _at_path(task: dict[str, Any], found: Any) -> str:
    values = []
    for node in _path(task["path"]).finditer(found):
        values.append(node.obj)
        if len(values) >= _MOST_NODES:
            break
    if not values:
        return "the path leads to nothing"
    if "equals" not in task or any(_same(it, task["equals"]) for it in values):
        return ""
    return f"the path leads to {json.dumps(values[0], ensure_ascii=False)}"


def _same(one: Any, other: Any) -> bool:
    """Compare as JSON does: true is no 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True) or (
        one == other and not isinstance(one, bool) and not isinstance(other, bool) and isinstance(one, int | float)
    )


def _compiled(pattern: str) -> Any:
    import re2  # noqa: PLC0415 - each library only where it is needed

    options = re2.Options()
    options.max_mem = _RE2_MEMORY
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise ValueError(f"it is no RE2 pattern: {_words(error)}") from None


def _path(path: str) -> Any:
    import jsonpath  # noqa: PLC0415 - likewise

    environment = jsonpath.JSONPathEnvironment(strict=True)
    environment.function_extensions["match"] = _Matching(whole=True)
    environment.function_extensions["search"] = _Matching(whole=False)
    try:
        return environment.compile(path)
    except (jsonpath.JSONPathError, ValueError, RecursionError) as error:
        raise ValueError(f"it is no path of RFC 9535: {_words(error)}") from None


class _Matching:
    """The functions `match` and `search` of paths, by RE2."""

    def __init__(self, *, whole: bool) -> None:
        from jsonpath.function_extensions import ExpressionType  # noqa: PLC0415 - likewise

        self._whole = whole
        self.arg_types = [ExpressionType.VALUE, ExpressionType.VALUE]
        self.return_type = ExpressionType.LOGICAL

    def __call__(self, value: object, pattern: object) -> bool:
        """Say whether a text fits a pattern; nothing else does, and no text fits what is no pattern."""
        if not isinstance(value, str) or not isinstance(pattern, str):
            return False
        try:
            compiled = _compiled(pattern)
        except ValueError:
            return False
        return bool(compiled.fullmatch(value) if self._whole else compiled.search(value))


def _validator(schema: dict[str, Any]) -> Any:
    import jsonschema_rs  # noqa: PLC0415 - likewise

    def refused(uri: str) -> Any:
        raise ValueError(f"schemas elsewhere are not fetched: {uri[:200]}")

    try:
        return jsonschema_rs.validator_for(schema, retriever=refused, pattern_options=jsonschema_rs.RegexOptions())
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, TypeError) as error:
        raise ValueError(f"it is no JSON Schema: {_words(error)}") from None


def _first(errors: Any) -> list[Any]:
    found = []
    for error in errors:
        found.append(error)
        if len(found) == 3:  # noqa: PLR2004 - enough to see what is wrong
            break
    return found


def _without_fence(text: str) -> str:
    """Return what a code fence holds, where the whole text is one."""
    stripped = text.strip()
    if not (stripped.startswith("```") and stripped.endswith("```") and "\n" in stripped):
        return stripped
    return stripped.partition("\n")[2].removesuffix("```")


def _words(error: object) -> str:
    return str(error).partition("\n")[0][:_MOST_DETAIL]


def _verdict(text: str, task: dict[str, Any]) -> dict[str, Any]:
    try:
        wrong = judge(text, task)
    except (ValueError, RecursionError) as error:
        wrong = _words(error)
    return {"passed": not wrong, "detail": wrong[:_MOST_DETAIL]}


def main() -> None:
    """Judge what comes in."""
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    asked = json.load(sys.stdin.buffer)
    verdicts = [_verdict(asked["text"], task) for task in asked["assertions"]]
    sys.stdout.write(json.dumps(verdicts))


if __name__ == "__main__":
    main()
