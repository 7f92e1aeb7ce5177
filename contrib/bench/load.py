"""Drives wrk and reads what it found. Every answer is checked in wrk itself, as it arrives."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import upstream
from figures import Load

_SCRIPT = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
%(headers)s
wrk.body = %(body)s
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init(args) bad = 0; seen = 0; sample = ""; math.randomseed(7) end
function words(body)  -- where one may be cut in two, half of it in each of two events
  local said = ""
  for text in body:gmatch('"content":"(.-)"') do said = said .. text end
  return select(2, said:gsub("tok%%d%%d", ""))
end
function response(status, headers, body)
  seen = seen + 1
  if %(wrong)s then
    bad = bad + 1
    if sample == "" then sample = status .. " " .. body:sub(1, 300) end
  end
end
%(delay)s
function done(summary, latency, requests)
  local seen, bad, sample = 0, 0, ""
  for _, thread in ipairs(threads) do
    seen = seen + thread:get("seen")
    bad = bad + thread:get("bad")
    if sample == "" then sample = thread:get("sample") end
  end
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("\\nRESULT %%d %%d %%d %%d %%d %%d %%d\\n", summary.duration, summary.requests, failed, seen, bad,
    latency:percentile(50), latency:percentile(99)))
  io.write("SAMPLE " .. sample:gsub("[\\r\\n]", " ") .. "\\n")
end
"""
_DELAY = "function delay() return math.random(%d, %d) end"
_WRONG_PLAIN = 'status ~= 200 or body:sub(-1) ~= "}" or select(2, body:gsub("tok%d%d", "")) ~= COUNT'
_WRONG_STREAM = """status ~= 200 or body:sub(-14) ~= "data: [DONE]\\n\\n"
    or select(2, body:gsub("tok%d%d", "")) ~= COUNT and words(body) ~= COUNT"""


class Found(msgspec.Struct, frozen=True):
    """What one run of wrk found. `failed` counts wrk's own errors, `bad` answers that were not right."""

    seconds: float
    requests: int
    failed: int
    checked: int
    bad: int
    p50_us: int
    p99_us: int
    sample: str
    events: int = 0

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


SYSTEM = "You are a helpful assistant that answers in few words, precisely and politely."
QUESTION = "Which of the seven seas is the saltiest, and how do we know? Answer in a sentence."
TURN = 4_000
"""Characters of one message of a long prompt."""


def request_body(model: str, *, stream: bool, size: int = 0, every_ms: int = 0) -> bytes:
    """Return the request every contender gets: two short messages, or as many long turns as make up `size` bytes.

    With `every_ms` the upstream sends the events of its stream that far apart.
    """
    messages = [{"role": "system", "content": SYSTEM}]
    text = (f"{QUESTION} " * (TURN // len(QUESTION)))[:TURN]
    messages += [{"role": ("user", "assistant")[at % 2], "content": f"{at}: {text}"} for at in range(size // TURN)]
    pace = f" {upstream.PACE}{every_ms} ms" if every_ms else ""
    messages.append({"role": "user", "content": QUESTION + pace})
    body: dict[str, Any] = {"model": model, "messages": messages, "temperature": 0.2, "max_tokens": 256}
    if stream:
        body["stream"] = True
    return json.dumps(body, separators=(",", ":")).encode()


def request(port: int, path: str, headers: dict[str, str], body: bytes) -> bytes:
    """Return the bytes of one request."""
    names = {**headers, "content-type": "application/json", "content-length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in names.items())
    return f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{lines}\r\n".encode() + body


def run(url: str, headers: dict[str, str], body: bytes, how: Load, *, seconds: float, core: int) -> Found:
    """Load `url` for `seconds` (whole ones, at least one) from one core. Raises RuntimeError when wrk does not run."""
    script = _SCRIPT % {
        "headers": "\n".join(
            f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()
        ),
        "body": json.dumps(body.decode()),
        "wrong": (_WRONG_STREAM if how.stream else _WRONG_PLAIN).replace("COUNT", str(len(upstream.WORDS))),
        "delay": _DELAY % (how.pause_ms // 2, how.pause_ms + how.pause_ms // 2) if how.pause_ms else "",
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "load.lua")
        path.write_text(script)
        duration = f"{max(1, round(seconds))}s"
        argv = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{how.connections}", f"-d{duration}", "--timeout", "30s"]
        done = subprocess.run(
            [*argv, "-s", str(path), url], capture_output=True, text=True, timeout=seconds + 60, check=False
        )
    lines = {line.partition(" ")[0]: line.partition(" ")[2] for line in done.stdout.splitlines()}
    if "RESULT" not in lines:
        raise RuntimeError(f"wrk failed: {done.stdout}{done.stderr}")
    micros, requests, failed, checked, bad, p50, p99 = map(int, lines["RESULT"].split())
    return Found(micros / 1e6, requests, failed, checked, bad, p50, p99, lines.get("SAMPLE", ""))
