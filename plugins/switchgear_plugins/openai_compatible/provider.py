"""Any server that speaks OpenAI's API (vLLM, Ollama, Groq, Mistral, DeepSeek, Together, OpenRouter …)."""

from msgspec import Raw

from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import CANONICAL, Call, ProviderConfig, TargetModel
from switchgear.wire.chat_provider import RESPONSES, ChatProvider
from switchgear.wire.members import prune, raw
from switchgear.wire.own_items import with_own_items
from switchgear_plugins.openai_compatible.settings import CompatibleSettings, check, grammar_of

_KEPT = frozenset({"model", "stream"})
"""Members that the gateway itself sends."""


class CompatibleProvider(ChatProvider):
    """A server at `base_url`. The credential, if there is one, has the field `api_key`.

    Members beyond OpenAI's own go to it as they came, also those that other dialects' clients sent: many such servers
    know them. `drop_members` names those it does not.
    """

    def __init__(self, config: ProviderConfig[CompatibleSettings]) -> None:
        settings = config.settings
        if not config.base_url:
            raise ValueError("`base_url` is required for a provider of type openai_compatible")
        check(settings)
        if not settings.wires:
            raise ValueError("`wires` is empty: name what the server speaks, as chat")
        if taken := _KEPT.intersection([*settings.drop_members, *settings.rename_members]):
            raise ValueError(f"`{min(taken)}` is the gateway's own member: it can be neither dropped nor renamed")
        super().__init__(
            config.base_url,
            config.headers,
            wires=settings.wires,
            ask_usage=settings.stream_usage,
            models_path=settings.models_path,
            grammar=grammar_of(settings, config.base_url),
        )
        self._settings = settings

    def authorise(self, secret: Secret | None) -> dict[str, str]:
        """Return the header that carries the key where this server wants it."""
        if secret is None:
            return {}
        return {
            self._settings.auth_header.lower(): f"{self._settings.auth_scheme} {secret.required('api_key')}".strip()
        }

    def members(self, call: Call) -> dict[str, Raw]:
        """Return the members as this server knows them."""
        settings = self._settings
        members = with_own_items(call) if call.wire == RESPONSES else call.members
        if settings.drop_members:
            members, dropped = prune(members, settings.drop_members)
            call.drop(*dropped)
        if settings.rename_members:
            members = self._renamed(members)
        if settings.developer_role == "system" and call.wire == CANONICAL:
            members = _without_developers(call, members)
        return members

    def rewritten(self, call: Call, model: TargetModel) -> dict[str, Raw]:
        """Return the members of a chat asked over the Responses wire, as this server knows them."""
        members = super().rewritten(call, model)
        if self._settings.drop_members:
            members, dropped = prune(members, self._settings.drop_members)
            call.drop(*dropped)
        return members

    def defaults(self, wire: str, members: dict[str, Raw], defaults: dict[str, Raw]) -> dict[str, Raw]:
        """Write a model's defaults as this server knows them."""
        return self._renamed(super().defaults(wire, members, defaults))

    def _renamed(self, members: dict[str, Raw]) -> dict[str, Raw]:
        names = self._settings.rename_members
        if not names or names.keys().isdisjoint(members):
            return members
        return {names.get(name, name): value for name, value in members.items()}


def _without_developers(call: Call, members: dict[str, Raw]) -> dict[str, Raw]:
    if b"developer" not in bytes(members.get("messages", b"")):
        return members
    messages = call.member("messages", list[dict[str, Raw]]) or []
    if not any(message.get("role") == _DEVELOPER for message in messages):
        return members
    told = [{**message, "role": _SYSTEM} if message.get("role") == _DEVELOPER else message for message in messages]
    return {**members, "messages": raw(told)}


_DEVELOPER, _SYSTEM = Raw(b'"developer"'), Raw(b'"system"')
