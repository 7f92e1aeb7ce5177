"""The stages of a request, by the files and functions that do their work."""

LOOP = "event loop"
"""What is in no stage: uvloop's own work, its system calls, and waiting."""

# (stage, part of the file's path, how the qualified name begins); the first that matches counts. What no rule names
# (the standard library, helpers) is its caller's.
RULES: tuple[tuple[str, str, str], ...] = (
    ("edge", "/uvicorn/protocols/", ""),
    (LOOP, "/uvicorn/", ""),
    (LOOP, "/switchgear/__main__", ""),
    (LOOP, "/switchgear/cli/", ""),
    (LOOP, "/switchgear/gateway", ""),
    (LOOP, "/switchgear/edge/server", ""),
    ("client library", "/pyreqwest/", ""),
    ("forwarding app", "/ceiling_app.py", ""),
    ("authentication", "/switchgear/authority", ""),
    ("authentication", "/switchgear/exchange/engine", "Engine.identify"),
    ("authentication", "/switchgear/contracts/principal", ""),
    ("authentication", "/switchgear/contracts/principal", ""),
    ("authentication", "/switchgear_plugins/api_keys/", ""),
    ("data plane", "/switchgear/exchange/data_plane", ""),
    ("data plane", "/switchgear/exchange/inbound", ""),
    ("data plane", "/switchgear/exchange/engine", "_note_head"),
    ("data plane", "/switchgear/exchange/engine", "note_ids"),
    ("data plane", "/switchgear/contracts/exchange", ""),
    ("data plane", "/switchgear/ambient", ""),
    ("watchdogs", "/switchgear/telemetry/watchdog", ""),
    ("watchdogs", "/switchgear/edge/overload", ""),
    ("admin side", "/switchgear/admin/", ""),
    ("admin side", "/litestar/", ""),
    ("edge", "/switchgear/edge/", ""),
    ("edge", "/switchgear/http/", ""),  # of checkouts in which the data plane stood behind ASGI
    ("headers", "/switchgear/exchange/reply", ""),
    ("record", "/switchgear/exchange/usage", "encode"),
    ("record", "/switchgear_plugins/usage/", ""),
    ("token estimate", "/switchgear/exchange/cost", ""),
    ("token estimate", "/switchgear/tokens", ""),
    ("metrics", "/switchgear/exchange/meters", ""),
    ("metrics", "/switchgear/telemetry/metrics", ""),
    ("metrics", "/prometheus_client/", ""),
    ("health", "/switchgear/exchange/health/", ""),
    ("health", "/switchgear/exchange/guard", ""),
    ("policies", "/switchgear/exchange/policies", ""),
    ("policies", "/switchgear/exchange/filters", ""),
    ("stream", "/switchgear/exchange/stream", ""),
    ("engine", "/switchgear/exchange/", ""),
    ("upstream client", "/switchgear/upstream/", ""),
    ("upstream client", "/httpx/", ""),
    ("upstream client", "/httpcore/", ""),
    ("drain", "/switchgear/ledger/drain", ""),
    ("drain", "/switchgear/ledger/sinks", ""),
    ("drain", "/switchgear/ledger/segments", "SegmentReader"),
    ("drain", "/switchgear/ledger/frames", "read"),
    ("drain", "/switchgear_plugins/sqlite/", ""),
    ("drain", "/switchgear_plugins/postgres/", ""),
    ("journal", "/switchgear/ledger/", ""),
    ("limits", "/switchgear_plugins/limits/", ""),
    ("limits", "/switchgear/counters/", ""),
    ("limits", "/switchgear_plugins/redis/", ""),
    ("plan", "/switchgear_plugins/routing/", ""),
    ("plan", "/switchgear/catalogue/", ""),
    ("plan", "/switchgear/resources/", ""),
    ("plan", "/switchgear/contracts/resource", ""),
    ("credentials", "/switchgear/credentials", ""),
    ("logs", "/switchgear/telemetry/", ""),
    ("logs", "/structlog/", ""),
    ("decode and encode", "/switchgear/wire/", ""),
    ("decode and encode", "/switchgear/contracts/", ""),
    ("other plugins", "/contrib/examples/", ""),
    ("decode and encode", "/switchgear_plugins/", ""),
    ("rest of the kernel", "/switchgear/", ""),
)

STAGES: tuple[str, ...] = (LOOP, *dict.fromkeys(stage for stage, _, _ in RULES if stage != LOOP))


def numbered() -> list[tuple[str, str, int]]:
    """Return the rules as the probe takes them: part of the path, beginning of the name, number of the stage."""
    return [(path, name, STAGES.index(stage)) for stage, path, name in RULES]
