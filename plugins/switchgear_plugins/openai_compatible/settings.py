import re
from typing import Literal
from urllib.parse import unquote

from msgspec import Struct

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


_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SCHEME = re.compile(r"[!-~]+")
_PATH = re.compile(r"/[!-\"$-~]*")
_FRAMING = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect"}
)
