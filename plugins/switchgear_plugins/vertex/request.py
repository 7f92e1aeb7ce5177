"""Canonical requests as Gemini's.

Wire: ai.google.dev/api/generate-content#v1beta.GenerationConfig, ai.google.dev/api/caching#FunctionDeclaration,
ai.google.dev/api/tokens, docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference.
"""

import re
from typing import Any

import msgspec

from switchgear.contracts.provider import Call, TargetModel
from switchgear.errors import InvalidRequest
from switchgear.wire import web_search
from switchgear.wire.canonical import ChatRequest, NamedTool, drop_others
from switchgear.wire.fit.names import NameRule
from switchgear.wire.fit.request import read_fitted
from switchgear_plugins.vertex.contents import Contents
from switchgear_plugins.vertex.settings import VertexProviderSettings
from switchgear_plugins.vertex.thinking import signs_calls, thinking_config

_CARRIED = (
    "tools",
    "tool_choice",
    "response_format",
    "stop",
    "temperature",
    "top_p",
    "top_k",
    "n",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "reasoning_effort",
    "thinking",
    web_search.MEMBER,
)
_NAMES = NameRule(64, re.compile(r"[^a-zA-Z0-9_.:-]"), re.compile(r"[a-zA-Z_]"))
_MODES = {"auto": "AUTO", "required": "ANY", "none": "NONE"}
_encode = msgspec.json.Encoder().encode

Json = dict[str, Any]


def chat_body(call: Call, model: TargetModel, settings: VertexProviderSettings) -> bytes:
    """Write the body of generateContent and streamGenerateContent. Raises `InvalidRequest`."""
    request = read_fitted(call, model, _NAMES)
    body = _prompt(call, request, model)
    if config := _tool_config(call, request):
        body["toolConfig"] = {"functionCallingConfig": config}
    if config := _generation(call, request, model):
        body["generationConfig"] = config
    if settings.safety_settings:
        body["safetySettings"] = [
            {"category": category, "threshold": threshold} for category, threshold in settings.safety_settings.items()
        ]
    carried = (*_CARRIED, "parallel_tool_calls") if request.parallel_tool_calls is not False else _CARRIED
    drop_others(call, carried)
    return _encode(body)


def count_body(call: Call, model: TargetModel, resource: str | None) -> bytes:
    """Write the body of countTokens. `resource` is the model's name where the request is to be wrapped, as at AI Studio."""
    prompt = _prompt(call, read_fitted(call, model, _NAMES), model)
    return _encode(prompt if resource is None else {"generateContentRequest": {"model": resource, **prompt}})


def _prompt(call: Call, request: ChatRequest, model: TargetModel) -> Json:
    found = Contents(call, request.messages, sign=signs_calls(model.name))
    body: Json = {"contents": found.contents}
    if found.system is not None:
        body["systemInstruction"] = found.system
    if declarations := _declarations(call, request):
        body["tools"] = [{"functionDeclarations": declarations}]
    _search(call, request, body)
    return body


def _search(call: Call, request: ChatRequest, body: Json) -> None:
    """Let the model search the web. Beside functions it does not."""
    options = request.web_search_options
    if options is None:
        return
    if "tools" in body:
        if web_search.MEMBER in call.members:
            call.drop(web_search.MEMBER)
        return
    call.drop(*(f"{web_search.MEMBER}.{name}" for name in options))
    body["tools"] = [{"googleSearch": {}}]


def _declarations(call: Call, request: ChatRequest) -> list[Json]:
    declarations = []
    for function, marker in request.functions():
        if marker is not None:
            call.drop("tools.cache_control")
        declaration: Json = {"name": function.name}
        if function.description is not None:
            declaration["description"] = function.description
        if function.parameters is not None:
            declaration["parametersJsonSchema"] = function.parameters
        declarations.append(declaration)
    return declarations


def _tool_config(call: Call, request: ChatRequest) -> Json | None:
    """Return which functions may be called. VALIDATED is AUTO whose calls are held to their schemas, as ANY's are."""
    choice = request.tool_choice
    functions = [function for function, _ in request.functions()]
    if isinstance(choice, NamedTool):
        if choice.function is None:
            message = "`tool_choice` must be none, auto, required or a function."
            raise InvalidRequest(message, param="tool_choice", code="unsupported_value")
        return {"mode": "ANY", "allowedFunctionNames": [choice.function.name]}
    if not functions:
        if choice == "required":
            call.drop("tool_choice")
        return None
    strict = [function.strict is True for function in functions]
    if choice in {None, "auto"} and all(strict):
        return {"mode": "VALIDATED"}
    if choice in {None, "auto"} and any(strict):
        call.drop("tools.function.strict")
    return {"mode": _MODES[choice]} if choice is not None else None


def _generation(call: Call, request: ChatRequest, model: TargetModel) -> Json:
    config = {
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "maxOutputTokens": request.limit,
        "stopSequences": request.stops or None,
        "seed": request.seed,
        "candidateCount": request.n,
        "presencePenalty": request.presence_penalty or None,  # some models refuse one, also of nothing
        "frequencyPenalty": request.frequency_penalty or None,
        "responseLogprobs": request.logprobs,
        "logprobs": request.top_logprobs or None,
        "thinkingConfig": thinking_config(call, request, model.name),
        **_format(call, request),
    }
    return {name: value for name, value in config.items() if value is not None}


def _format(call: Call, request: ChatRequest) -> Json:
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return {}
    if wanted.type not in {"json_object", "json_schema"}:
        message = "`response_format.type` must be text, json_object or json_schema."
        raise InvalidRequest(message, param="response_format.type", code="unsupported_value")
    config: Json = {"responseMimeType": "application/json"}
    if wanted.type == "json_schema" and wanted.json_schema is not None:
        if wanted.json_schema.description is not None:
            call.drop("response_format.json_schema.description")
        config["responseJsonSchema"] = wanted.json_schema.schema
    return config
