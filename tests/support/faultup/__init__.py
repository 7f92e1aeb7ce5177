"""The scripted upstream of `switchgear.testing.upstream` in the wire formats of every vendor, each as strict as its vendor.

    async with FaultUpstream() as up:
        up.script(Script(cut_at=100, cut_how="rst"))
        ...                                   # drive the gateway at up.base_url
        [entry] = await up.ledger.settled()

`FaultProcess` is the same in a process of its own; `python -m support.faultup --port 0` starts one by hand.
"""

from support.faultup.remote import FaultProcess
from support.faultup.server import FaultUpstream
from switchgear.testing.upstream import PRESETS, Bucket, Entry, Ledger, Script, ToolCall

__all__ = ["PRESETS", "Bucket", "Entry", "FaultProcess", "FaultUpstream", "Ledger", "Script", "ToolCall"]
