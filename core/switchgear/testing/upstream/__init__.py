"""A scripted upstream: a server on loopback that does what it is told, to the byte, and keeps a ledger of what it billed.

async with ScriptedUpstream() as up:
    up.script(Script(body='{"text": "Hello", "done": true}'))          # of any wire format
    up.script(Script(content="Hello there", cut_after_chunks=1))       # or a chat in the canonical form, that is cut
    ...                                                                # drive the gateway at up.url
    [entry] = await up.ledger.settled()
    entry.path, entry.headers, entry.body                              # what was asked
"""

from switchgear.testing.upstream.bucket import Bucket
from switchgear.testing.upstream.ledger import Entry, Ledger
from switchgear.testing.upstream.script import PRESETS, Script, ToolCall
from switchgear.testing.upstream.server import ScriptedUpstream

__all__ = ["PRESETS", "Bucket", "Entry", "Ledger", "Script", "ScriptedUpstream", "ToolCall"]
