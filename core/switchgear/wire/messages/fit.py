"""Calls in the Messages form fitted to the model that is asked: its generation, what it can have said, what its host knows.

What nobody has to touch goes out byte for byte.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Call, TargetModel
from switchgear.wire.fit.chat import bounded
from switchgear.wire.fit.names import NameRule, Names, fit_user
from switchgear.wire.members import member, raw
from switchgear.wire.messages.blocks import Turn, as_blocks, blocks_of, id_member, is_blank
from switchgear.wire.messages.history import fit_turns
from switchgear.wire.messages.models import Rules
from switchgear.wire.messages.system_turns import fit_system_turns
from switchgear.wire.messages.thinking import fit_thinking, lacks_thinking, own_thought
from switchgear.wire.messages.turns import tool_id
from switchgear.wire.texts import text_of

Members = dict[str, Raw]

_NULL = Raw(b"null")
_NOTHING = (None, _NULL, Raw(b"[]"))
_SAMPLING = ("temperature", "top_p", "top_k")
_MOST_USER = 256
_LEAST_TOP_P_WHILE_THINKING = 0.95
_ANYTHING = msgspec.json.Decoder()
_THOUGHTS = ("thinking", "redacted_thinking")
_TOOL_NAMES = NameRule(most=128)
"""Source: docs.anthropic.com/en/docs/agents-and-tools/tool-use/implement-tool-use."""


class _Named(Struct):
    name: str | None = None


_named = msgspec.json.Decoder(_Named | list[_Named] | None)


class Host(Struct, frozen=True):
    """What who hosts a model knows beyond the form: opt-ins, None for all that there are; they come in `header`.

    `names` are its own names of opt-ins that the form's vendor calls otherwise.
    """

    betas: frozenset[str] | None = None
    header: str = ""
    names: Mapping[str, str] = {}


NEEDED: dict[str, tuple[str, ...]] = {
    "context_management": ("context-management", "compact"),
    "mcp_servers": ("mcp-client",),
    "speed": ("fast-mode",),
    "thread": ("message-threads",),
    "container": ("code-execution", "skills"),
    "fallback": ("fallback",),
}
"""Members that a host knows with one of the opt-ins of these names, and not without."""


def fit_host(call: Call, members: Members, host: Host) -> tuple[Members, str | None]:
    """Return the members and the opt-ins that a host knows; the rest is dropped by name."""
    asked = call.headers.get(host.header)
    known = host.betas
    if known is None:
        return members, asked
    wanted = [host.names.get(name, name) for name in (asked or "").split(",")]
    kept = [name for name in dict.fromkeys(wanted) if name in known]
    if asked and not known.issuperset(wanted):
        call.drop(host.header)
    lost = [
        name for name, needs in NEEDED.items() if name in members and not any(flag.startswith(needs) for flag in kept)
    ]
    call.drop(*lost)
    members = {name: value for name, value in members.items() if name not in lost}
    if b'"scope"' in b"".join(bytes(members.get(name, b"")) for name in ("system", "tools", "messages")):
        members = _without_scopes(call, members)
    return members, ",".join(kept) or None


def _without_scopes(call: Call, members: Members) -> Members:
    fitted = dict(members)
    for name in ("system", "tools", "messages"):
        if b'"scope"' in bytes(members.get(name, b"")):
            found = _ANYTHING.decode(members[name])
            if _scope_out(found):
                call.drop(f"{name}.cache_control.scope")
                fitted[name] = raw(found)
    return fitted


def _scope_out(value: Any) -> bool:
    found = False
    if isinstance(value, list):
        for it in value:
            found = _scope_out(it) or found
    elif isinstance(value, dict):
        mark = value.get("cache_control")
        if isinstance(mark, dict) and mark.pop("scope", None) is not None:
            found = True
        content = value.get("content")
        found = _scope_out(content) or found
    return found


def fit_native(call: Call, members: Members, rules: Rules, model: TargetModel, format: str) -> Members:
    """Return a call of the form as its model takes it. `format` is that of the reasoning that the model can have made."""
    fitted = bounded(call, members, model)
    if fitted.get("tools") in _NOTHING and fitted.get("tool_choice") not in _NOTHING:
        fitted = {name: value for name, value in fitted.items() if name != "tool_choice"}
    names = Names(call, _TOOL_NAMES)
    fitted = _tools(_unforced(call, fitted, rules), names)
    fitted = _system(_history(call, fitted, rules, format, names))
    fitted = _edits(call, _thinking(call, fitted, rules), rules)
    fitted = _sampling(call, fitted, rules)
    return _user(call, fitted)


def _user(call: Call, members: Members) -> Members:
    metadata = members.get("metadata", _NULL)
    if len(bytes(metadata)) <= _MOST_USER:
        return members
    found = _ANYTHING.decode(metadata)
    user = found.get("user_id") if isinstance(found, dict) else None
    if not isinstance(user, str) or len(user) <= _MOST_USER:
        return members
    call.change("metadata.user_id")
    return {**members, "metadata": raw({**found, "user_id": fit_user(user, _MOST_USER)})}


def _thinking(call: Call, members: Members, rules: Rules) -> Members:
    config: Any = _ANYTHING.decode(members.get("output_config", _NULL))
    config = config if isinstance(config, dict) else {}
    effort = config.get("effort")
    thinking: Any = _ANYTHING.decode(members.get("thinking", _NULL))
    limit = member(members, "max_tokens", int) or 1
    fitted = dict(members)
    wanted = effort if isinstance(effort, str) else None
    if isinstance(thinking, dict):
        wish, wanted = fit_thinking(thinking, wanted, rules, limit)
        if wish is not None and wish.get("type") == "enabled" and lacks_thinking(_turns(members)):
            wish = None  # with a budget, a turn that is not over has to begin with what was thought
        if wish is None:
            call.drop("thinking")
            del fitted["thinking"]
        elif wish != thinking:
            call.change("thinking")
            fitted["thinking"] = raw(wish)
    if rules.thinking != "adaptive":
        if effort is not None:
            (call.change if "thinking" in fitted else call.drop)("output_config.effort")
            config = {name: value for name, value in config.items() if name != "effort"}
    elif wanted is not None and (level := rules.effort(wanted)) is not None and level != effort:
        call.change("output_config.effort")
        config = {**config, "effort": level}
    if not config:
        fitted.pop("output_config", None)
    elif config.get("effort") != effort:
        fitted["output_config"] = raw(config)
    return fitted


def _edits(call: Call, members: Members, rules: Rules) -> Members:
    """Leave out the clearing of thoughts where the model is not told to think: the form takes that with thinking alone."""
    given = members.get("context_management", _NULL)
    if b"clear_thinking" not in bytes(given) or rules.off is None or _thinks(members):
        return members
    found: Any = _ANYTHING.decode(given)
    edits = found.get("edits") if isinstance(found, dict) else None
    if not isinstance(edits, list):
        return members
    call.drop("context_management.edits")
    kept = [edit for edit in edits if not (isinstance(edit, dict) and _clears_thoughts(edit))]
    less = {name: value for name, value in members.items() if name != "context_management"}
    return {**less, "context_management": raw({**found, "edits": kept})} if kept else less


def _clears_thoughts(edit: dict[str, Any]) -> bool:
    return str(edit.get("type")).startswith("clear_thinking")


def _thinks(members: Members) -> bool:
    wish = _ANYTHING.decode(members.get("thinking", _NULL))
    return isinstance(wish, dict) and wish.get("type") in ("enabled", "adaptive")


def _system(members: Members) -> Members:
    """Leave blank texts out of the system prompt."""
    system = members.get("system")
    if system is None:
        return members
    try:
        blocks = _blocks.decode(system)
    except (msgspec.DecodeError, RecursionError):
        return members
    if blocks.strip() if isinstance(blocks, str) else not any(map(_is_doubtful, blocks)):
        return members
    found: Any = _ANYTHING.decode(system)
    if isinstance(found, list):
        kept: Any = [it for it in found if not (isinstance(it, dict) and is_blank(it))]
    else:
        kept = None
    less = {name: value for name, value in members.items() if name != "system"}
    return {**less, "system": raw(kept)} if kept else less


def _turns(members: Members) -> list[Turn]:
    """Return the turns; none where one of them, or a block, is no object: that is for the provider to refuse."""
    found = _ANYTHING.decode(members.get("messages", _NULL))
    turns = found if isinstance(found, list) and all(isinstance(turn, dict) for turn in found) else []
    return turns if all(isinstance(block, dict) for turn in turns for block in blocks_of(turn)) else []


def _sampling(call: Call, members: Members, rules: Rules) -> Members:
    given = {name: _ANYTHING.decode(members[name]) for name in _SAMPLING if members.get(name, _NULL) != _NULL}
    if not given:
        return members
    lost = unfit_sampling(given, rules, thinks=_thinks(members))
    call.drop(*(name for name in lost if given[name] != 1))
    return {name: value for name, value in members.items() if name not in lost}


def unfit_sampling(given: dict[str, Any], rules: Rules, *, thinks: bool) -> list[str]:
    """Return which of temperature, top_p and top_k a model of these rules does not take. One of 1 says nothing."""
    lost = []
    for name, value in given.items():
        number = value if isinstance(value, int | float) else 1
        fits = rules.sampling and not (name == "temperature" and number > 1)
        if thinks:
            least = _LEAST_TOP_P_WHILE_THINKING if name == "top_p" else 1
            fits = fits and name != "top_k" and number >= least
        if name == "top_p" and rules.one_sampling and "temperature" in given and "temperature" not in lost:
            fits = False
        if not fits:
            lost.append(name)
    return lost


def _unforced(call: Call, members: Members, rules: Rules) -> Members:
    """Leave it to a model that cannot be made to call tools whether it does."""
    wanted = None if rules.forced_tools else _ANYTHING.decode(members.get("tool_choice", _NULL))
    if not isinstance(wanted, dict) or wanted.get("type") not in ("any", "tool"):
        return members
    call.drop("tool_choice")
    others = {name: value for name, value in wanted.items() if name not in ("type", "name")}
    return {**members, "tool_choice": raw({"type": "auto", **others})}


def _tools(members: Members, names: Names) -> Members:
    """Write names of tools as the form takes them."""
    for member_name in ("tools", "tool_choice"):
        given = members.get(member_name, _NULL)
        try:
            found = _named.decode(given)
        except (msgspec.DecodeError, RecursionError):
            continue  # what the provider will refuse
        said = [it.name for it in (found if isinstance(found, list) else [found]) if it is not None and it.name]
        if all(names.fit(name) == name for name in said):
            continue
        whole: Any = _ANYTHING.decode(given)
        for it in whole if isinstance(whole, list) else [whole]:
            if it.get("name"):
                it["name"] = names.fit(it["name"])
        members = {**members, member_name: raw(whole)}
    return members


class _Block(Struct):
    type: str = ""
    text: Raw = _NULL
    citations: Raw = Raw()


class _Turn(Struct):
    role: str
    content: str | list[_Block]


_blocks = msgspec.json.Decoder(str | list[_Block])
_plain = msgspec.json.Decoder(list[_Turn])
_TO_LOOK_AT = frozenset({*_THOUGHTS, "tool_use", "tool_result"})
_LONGEST_BLANK = 32
"""Bytes of JSON in which a blank text is told from others at once; a longer one is no accident."""


def _is_plain(messages: Raw) -> bool:
    """Say whether no turn has to be looked at: all are the user's and the model's, the last the user's; none is blank, thinks or
    has to do with tools.
    """
    try:
        turns = _plain.decode(messages)
    except (msgspec.DecodeError, RecursionError):
        return False
    if turns and turns[-1].role == "assistant":
        return False
    for turn in turns:
        content = turn.content
        if turn.role == "system":
            return False
        if isinstance(content, str):
            if not content or content.isspace():
                return False
        elif not content or any(it.type in _TO_LOOK_AT or _is_doubtful(it) for it in content):
            return False
    return True


def _is_doubtful(block: _Block) -> bool:
    """Say whether a text may be blank, or be cited with what no vendor made."""
    return b'"encrypted_index"' in bytes(block.citations) or (
        block.type == "text" and len(text := bytes(block.text)) < _LONGEST_BLANK and not (text_of(text) or "").strip()
    )


def _history(call: Call, members: Members, rules: Rules, format: str, names: Names) -> Members:
    """Leave out thoughts that the model cannot have had, and write turns, names, ids and blank texts as the form takes them."""
    if _is_plain(members.get("messages", _NULL)):
        return members
    given = _turns(members)
    leading, turns = fit_system_turns(call, fit_turns(call, given), taken=rules.system_turns)
    changed = turns is not given
    kept = []
    for turn in turns:
        content = turn.get("content")
        if not isinstance(content, list):
            kept.append(turn)
            continue
        blocks = [_block(call, block, format, names) for block in content]
        left = [block for block in blocks if block is not None]
        if len(left) != len(content) or any(new is not old for new, old in zip(left, content, strict=True)):
            changed = True
            turn = {**turn, "content": left}  # noqa: PLW2901 - a value in its stead
        if left or not content:
            kept.append(turn)
    if leading:
        before = as_blocks(_ANYTHING.decode(members.get("system", _NULL)))
        members = {**members, "system": raw([*before, *leading])}
    return {**members, "messages": raw(kept)} if changed else members


def _block(call: Call, block: dict[str, Any], format: str, names: Names) -> dict[str, Any] | None:
    kind = block.get("type")
    if kind in _THOUGHTS:
        own = own_thought(block, format)
        if own is None:
            call.drop("messages.content.thinking")
        return own
    tool = block.get("name") if kind == "tool_use" else None
    if isinstance(tool, str) and names.fit(tool) != tool:
        block = {**block, "name": names.fit(tool)}
    name = id_member(block) or ""
    id = block.get(name)
    if isinstance(id, str) and tool_id(id) != id:
        call.change(f"messages.content.{name}")
        return {**block, name: tool_id(id)}
    return block
