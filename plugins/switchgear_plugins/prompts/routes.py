"""`/admin/v1/prompts/…` beyond the resources themselves: rendering, and the library."""

from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from switchgear import Context
from switchgear.admin.bodies import read
from switchgear.contracts.principal import Scope
from switchgear.errors import NotFound
from switchgear_plugins.prompts.library import Installed, install, library
from switchgear_plugins.prompts.preview import Render, Rendered, RenderText, preview, unstored
from switchgear_plugins.prompts.resources import KIND, LivePrompt
from switchgear_plugins.prompts.settings import PromptsSettings
from switchgear_plugins.prompts.shelf import Shelf, current


class Install(Struct, frozen=True, forbid_unknown_fields=True):
    """Which prompts of the library to make; empty: all."""

    ids: list[str] = []


class LibraryPrompt(Struct, frozen=True):
    """A prompt of the library, and whether there is a prompt of its id."""

    id: str
    installed: bool
    prompt: dict[str, Any]


class Library(Struct, frozen=True):
    """The library."""

    data: list[LibraryPrompt]


def prompts_handlers(context: Context, settings: PromptsSettings) -> list[HTTPRouteHandler]:
    """Make the routes."""

    @post(
        "/admin/v1/prompts/{id:str}/render",
        opt={"action": "read", "resource": KIND, "scoped": True, "body": Render},
        status_code=200,
        summary="What a prompt says with some values, and which are missing",
        tags=[KIND],
    )
    async def render(request: Request[Any, Any, Any], id: FromPath[str]) -> Rendered:
        asked = await read(request, Render)
        scope: Scope = request.state.scope
        found = _within(scope, current(context.resources.snapshot, id))
        if found is not None and asked.version is not None:
            found = _within(scope, await Shelf(context.store).version(found, asked.version))
        if found is None:
            raise NotFound(f"There is no prompt {id[:64]!r} of this version.", code="not_found")
        return preview(found, asked.variables, settings.most_characters)

    @post(
        "/admin/v1/prompts/render",
        opt={"action": "list", "resource": KIND, "scoped": True, "body": RenderText},
        status_code=200,
        summary="What a prompt that is not stored would say",
        tags=[KIND],
    )
    async def render_text(request: Request[Any, Any, Any]) -> Rendered:
        asked = await read(request, RenderText)
        prompt = unstored(asked.content, asked.messages)
        return preview(prompt, asked.variables, settings.most_characters)

    @get(
        "/admin/v1/prompts/library",
        opt={"action": "list", "resource": KIND, "scoped": True},
        summary="Prompts that come with the gateway, to be installed",
        tags=[KIND],
    )
    async def show_library() -> Library:
        snapshot = context.resources.snapshot
        return Library([LibraryPrompt(id, current(snapshot, id) is not None, body) for id, body in library().items()])

    @post(
        "/admin/v1/prompts/library/install",
        opt={"action": "create", "resource": KIND, "body": Install},
        status_code=200,
        summary="Make prompts of the library's; those that exist are left alone",
        tags=[KIND],
    )
    async def install_library(request: Request[Any, Any, Any]) -> Installed:
        asked = await read(request, Install) if await request.body() else Install()
        return await install(context.resources, asked.ids, request.state.principal)

    return [render, render_text, show_library, install_library]


def _within(scope: Scope, prompt: LivePrompt | None) -> LivePrompt | None:
    """Return a prompt if it is within somebody's bounds: of a version, as it was then."""
    return prompt if prompt is not None and scope.covers(("team_id",), msgspec.structs.asdict(prompt.spec)) else None
