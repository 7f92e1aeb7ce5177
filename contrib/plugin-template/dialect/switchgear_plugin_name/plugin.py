import msgspec

from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.dialect import Dialect, Route, RouteReply, RouteRequest
from switchgear.errors import ApiError


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """What is asked of POST /plugin-name/count."""

    text: str


class PluginNameDialect:
    """A family of paths that share the shape of their errors. `inference` takes those that models answer."""

    name = "plugin_name"
    request_id_header = None
    retry_count_header = b""
    inference = ()

    def __init__(self) -> None:
        self.routes = (
            Route("GET", "/plugin-name/ping", self.ping, open_to="everybody"),
            Route(
                "POST", "/plugin-name/count", self.count, open_to="principals", operation="count_words", counted=True
            ),
        )

    def error(self, error: ApiError, request_id: str) -> bytes:
        """Write an error as clients of this dialect expect it."""
        return msgspec.json.encode({"problem": error.code, "message": error.message, "request": request_id})

    async def ping(self, request: RouteRequest) -> RouteReply:
        """Answer anybody."""
        return RouteReply(b'{"pong":true}')

    async def count(self, request: RouteRequest) -> RouteReply:
        """Count words, for whoever has a key."""
        asked = await request.json(Question)
        return RouteReply(msgspec.json.encode({"words": len(asked.text.split())}))


class PluginNamePlugin(Plugin[NoSettings]):
    """Brings the dialect."""

    api = 1

    def switchgear_dialects(self) -> list[Offer[Dialect]]:
        """Offer it."""
        return [Offer("plugin_name", PluginNameDialect)]
