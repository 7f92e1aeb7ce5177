"""A scripted OpenAI-style upstream with byte-exact faults and a ledger of what it billed.

    async with FaultUpstream() as up:
        up.script(Script(cut_at=100, cut_how="rst"))
        ...                                   # drive the gateway at up.base_url
        [entry] = await up.ledger.settled()

`FaultProcess` is the same in a process of its own; `python -m support.faultup --port 0` starts one by hand.
"""

from support.faultup.bucket import Bucket
from support.faultup.ledger import Entry, Ledger
from support.faultup.remote import FaultProcess
from support.faultup.script import PRESETS, Script, ToolCall
from support.faultup.server import FaultUpstream

__all__ = ["PRESETS", "Bucket", "Entry", "FaultProcess", "FaultUpstream", "Ledger", "Script", "ToolCall"]
