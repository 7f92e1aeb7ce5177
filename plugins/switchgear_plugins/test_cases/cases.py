"""The kind of resource `test-cases`: what is asked, and what has to be so of the answer."""

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Problem, Reference, Resource, ResourceKind, View
from switchgear_plugins.test_cases.assertions import JUDGED, Assertion, as_task
from switchgear_plugins.test_cases.court import lacking
from switchgear_plugins.test_cases.judge import check

WORKFLOWS = "workflows"
_OURS = ("model", "messages", "stream", "stream_options")

Value = str | int | float | bool


class TestCaseSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A call that is made, or a workflow that is run, and assertions about its answer.

    model                          a callable name, asked what follows
    content, messages              what a user says, or messages as in a chat
    prompt_id, variables, prompt_version  a prompt that the gateway keeps; it is what the system says if something else is
                                   said too
    system                         what the system says before all else
    parameters                     further members of the call (`temperature`, `max_tokens` …)
    workflow, input                instead of all these: a workflow, and its input
    """

    assertions: Annotated[tuple[Assertion, ...], Meta(min_length=1, max_length=50)]
    model: str | None = None
    content: str | None = None
    messages: Annotated[tuple[dict[str, Any], ...], Meta(max_length=1000)] = ()
    prompt_id: str | None = None
    variables: dict[str, Value] = {}
    prompt_version: Annotated[int, Meta(ge=1)] | None = None
    system: str | None = None
    parameters: dict[str, Any] = {}
    workflow: str | None = None
    input: dict[str, Any] = {}
    description: Annotated[str, Meta(max_length=2000)] = ""
    enabled: bool = True
    tags: tuple[str, ...] = ()
    metadata: dict[str, str] = {}


class TestCase(Struct, frozen=True):
    """A test case come alive."""

    id: str
    version: int
    spec: TestCaseSpec


def cases() -> ResourceKind[TestCaseSpec, TestCase]:
    """Declare the kind."""

    def validate(spec: TestCaseSpec, view: View, by: Principal) -> Sequence[Problem]:  # noqa: ARG001 - the kind's form
        problems = [*_subject(spec, view), *_said(spec, view)]
        problems += [Problem(f"/assertions/{place}/type", words) for place, words in lacking(spec.assertions).items()]
        places = {it.pointer for it in problems}
        for place, assertion in enumerate(spec.assertions):
            if type(assertion) in JUDGED and f"/assertions/{place}/type" not in places:
                try:
                    check(dict(as_task(assertion)))
                except ValueError as error:
                    problems.append(Problem(f"/assertions/{place}", str(error)))
        return problems

    def compile(resource: Resource[TestCaseSpec], view: View) -> TestCase:  # noqa: ARG001 - the kind's form
        return TestCase(resource.id, resource.version, resource.spec)

    return ResourceKind(
        name="test-cases",
        title="test case",
        group="Testing",
        spec=TestCaseSpec,
        references=(
            Reference("model", "callable"),
            Reference("prompt_id", "prompts", optional=True),
            Reference("workflow", WORKFLOWS, optional=True),
        ),
        validate=validate,
        compile=compile,
    )


def _subject(spec: TestCaseSpec, view: View) -> list[Problem]:
    if (spec.model is None) == (spec.workflow is None):
        return [Problem("/model", "name a `model` or a `workflow`, one of them")]
    if spec.workflow is None:
        return [Problem("/input", "is for workflows")] if spec.input else []
    if view.live(WORKFLOWS, spec.workflow) is None:
        return [Problem("/workflow", "there is no such workflow, or the plugin `workflows` is not enabled")]
    return []


def _said(spec: TestCaseSpec, view: View) -> list[Problem]:
    said = {"content": spec.content, "messages": spec.messages, "prompt_id": spec.prompt_id, "system": spec.system}
    if spec.workflow is not None:
        return [Problem(f"/{name}", "is for models; a workflow has an `input`") for name, it in said.items() if it]
    problems = [Problem(f"/parameters/{name}", "is not for `parameters`") for name in _OURS if name in spec.parameters]
    if spec.content and spec.messages:
        problems.append(Problem("/messages", "say `content` or `messages`, not both"))
    if not (spec.content or spec.messages or spec.prompt_id):
        problems.append(Problem("/content", "say something: `content`, `messages` or `prompt_id`"))
    if spec.prompt_id is None and (spec.variables or spec.prompt_version is not None):
        problems.append(Problem("/prompt_id", "name the prompt that `variables` and `prompt_version` are for"))
    if spec.prompt_id is not None and view.live("prompts", spec.prompt_id) is None:
        problems.append(Problem("/prompt_id", "there is no such prompt, or the plugin `prompts` is not enabled"))
    return problems


def messages_of(spec: TestCaseSpec, version: int | None) -> list[dict[str, Any]]:
    """Return what is said to the model; `version` is that of its prompts, where they are to be another one."""
    said: list[dict[str, Any]] = [{"role": "user", "content": spec.content}] if spec.content else list(spec.messages)
    if version is not None:
        said = [{**it, "version": version} if "prompt_id" in it and "content" not in it else it for it in said]
    if spec.prompt_id is not None:
        reference: dict[str, Any] = {"role": "system" if said else "user", "prompt_id": spec.prompt_id}
        if spec.variables:
            reference["variables"] = spec.variables
        if (wanted := version or spec.prompt_version) is not None:
            reference["version"] = wanted
        said.insert(0, reference)
    if spec.system:
        said.insert(0, {"role": "system", "content": spec.system})
    return said
