import re
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from msgspec import Meta, Struct

from switchgear.wire.fit.chat import ChatGrammar, When
from switchgear.wire.fit.names import NameRule

Wire = Literal["chat", "embeddings", "completions", "responses"]


class CompatibleSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`settings` of a provider of type `openai_compatible`: how the server differs from OpenAI's.

    auth_header, auth_scheme  where the key goes (`authorization`, `Bearer`); an empty scheme sends the key alone
    wires                     what it speaks: of `chat`, `embeddings`, `completions`, `responses`
    stream_usage              whether it knows `stream_options.include_usage`
    developer_role            `system` writes messages of the role `developer` as such
    drop_members              members it refuses, left out and said to be: dotted paths through arrays
                              (`messages.reasoning_details`)
    rename_members            members that have another name there, as `{max_completion_tokens: max_tokens}`
    text_content, system_front, empty_reasoning
                              which calls are written for servers that want one string where a message is text alone, one
                              system message in front (later ones are told as marked words of the user's), an (empty)
                              `reasoning_content` in every turn that calls tools:
                              `never`, `translated` (those of clients of another form) or `always`; by default what is known
                              of the server, else `translated`
    most_user                 characters of `user`; a longer one is replaced by its hash
    most_name                 characters of a tool's name; a longer one is shortened, and is itself again in the answer
    models_path               where its list of models is, under the base URL

    What is known of some (base URL; settings that are not the default):

        vLLM        http://host:8000/v1; wires: all four
        Ollama      http://host:11434/v1; wires: all four
        Groq        https://api.groq.com/openai/v1; wires chat, responses
        Mistral     https://api.mistral.ai/v1; rename_members {max_completion_tokens: max_tokens, seed: random_seed},
                    stream_usage false, developer_role system, drop_members what it answers 422 to
        DeepSeek    https://api.deepseek.com; wires chat; rename_members {max_completion_tokens: max_tokens},
                    developer_role system
        Together    https://api.together.xyz/v1; rename_members {max_completion_tokens: max_tokens}, developer_role system
        OpenRouter  https://openrouter.ai/api/v1; wires chat, embeddings, completions, responses
    """

    auth_header: str = "authorization"
    auth_scheme: str = "Bearer"
    wires: tuple[Wire, ...] = ("chat", "embeddings")
    stream_usage: bool = True
    developer_role: Literal["keep", "system"] = "keep"
    drop_members: tuple[str, ...] = ()
    rename_members: dict[str, str] = {}
    text_content: When | None = None
    system_front: When | None = None
    empty_reasoning: When | None = None
    most_user: Annotated[int, Meta(ge=16)] = 64
    most_name: Annotated[int, Meta(ge=32)] = 64
    models_path: str = "/models"


def check(settings: CompatibleSettings) -> None:
    """Raise ValueError for what would not make a request, or one to somewhere else."""
    if not _HEADER.fullmatch(settings.auth_header) or settings.auth_header.lower() in _FRAMING:
        raise ValueError("`auth_header` is the name of a header, as authorization, and none that frames the request")
    if settings.auth_scheme and not _SCHEME.fullmatch(settings.auth_scheme):
        raise ValueError("`auth_scheme` is a word, as Bearer")
    path = settings.models_path
    if not _PATH.fullmatch(path) or {".", ".."} & set(unquote(path).replace("\\", "/").split("/")):
        raise ValueError("`models_path` begins with a slash and stays below the address, as /models")


_KNOWN: dict[str, dict[str, Any]] = {
    "openrouter.ai": {"joined": "never", "front": "never", "reasoning_empty": "never"},
    "api.groq.com": {"reasoning_empty": "never"},
    "api.mistral.ai": {"reasoning_empty": "never"},
    "api.deepseek.com": {"reasoning_empty": "always"},
    "api.moonshot.ai": {"reasoning_empty": "always"},
    "api.moonshot.cn": {"reasoning_empty": "always"},
    "api.openai.com": {"joined": "never", "front": "never", "reasoning_empty": "never"},
}
"""What servers are known to read, by their hosts: some refuse members that others want, one keeps marks in lists of parts."""


def grammar_of(settings: CompatibleSettings, base_url: str) -> ChatGrammar:
    """Say what the server reads: what the settings say, else what is known of it."""
    asked = {
        "joined": settings.text_content,
        "front": settings.system_front,
        "reasoning_empty": settings.empty_reasoning,
    }
    usual: dict[str, Any] = {"joined": "translated", "front": "translated", "reasoning_empty": "translated"}
    usual |= _KNOWN.get(urlsplit(base_url).hostname or "", {})
    usual |= {name: when for name, when in asked.items() if when is not None}
    renames = "max_completion_tokens" in settings.rename_members or "max_tokens" in settings.rename_members
    return ChatGrammar(
        user=settings.most_user,
        names=NameRule(settings.most_name),
        extra=True,
        new_bound=not renames,
        **usual,
    )


_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SCHEME = re.compile(r"[!-~]+")
_PATH = re.compile(r"/[!-\"$-~]*")
_FRAMING = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect"}
)
