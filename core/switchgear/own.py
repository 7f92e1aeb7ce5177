"""What is the gateway's own, so that no plugin may take it: commands, kinds of resource, routes, paths, metrics."""

from collections.abc import Mapping
from types import MappingProxyType

COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "api": (
            "switchgear.cli.serve:api",
            "Run the gateway without the files and pages of plugins: no console.",
        ),
        "config": ("switchgear.cli.config:config", "Check, show and describe the configuration."),
        "db": ("switchgear.cli.db:db", "Show and migrate the schema of the store, back it up and restore it."),
        "doctor": ("switchgear.cli.doctor:doctor", "Find what keeps the gateway from running on this machine."),
        "plugins": ("switchgear.cli.plugins:plugins", "List, enable, disable, write, test and examine plugins."),
        "secrets": ("switchgear.cli.secrets:group", "Change the master key of what is stored encrypted."),
        "serve": ("switchgear.cli.serve:serve", "Run the gateway."),
        "version": ("switchgear.cli.version:version", "Show the version."),
        "worker": ("switchgear.cli.serve:worker", "Run background jobs alone, without a socket."),
    }
)
"""What the kernel brings: where the command is, and its help."""

COMMAND_GROUP = "switchgear.commands"
"""The group of entry points in which distributions declare commands of their plugins, as `PLUGIN.COMMAND`."""

KINDS = frozenset({"credentials", "models", "policy-attachments", "providers"})

ROOTS = frozenset({"admin", "docs", "health", "live", "metrics", "openapi.json", "ready", "redoc", "ui"})
"""First segments of paths."""

ADMIN = "/admin/v1"
"""Where admin routes are, those of plugins too."""

ROUTES = frozenset(
    {
        ("GET", "/admin/v1/config/settings"),
        ("GET", "/admin/v1/config/version"),
        ("GET", "/admin/v1/kinds"),
        ("GET", "/admin/v1/kinds/{}"),
        ("GET", "/admin/v1/kinds/{}/allowed"),
        ("GET", "/admin/v1/pages"),
        ("GET", "/admin/v1/plugins"),
        ("GET", "/admin/v1/references"),
        ("GET", "/admin/v1/search"),
        ("GET", "/admin/v1/targets"),
        ("POST", "/admin/v1/config/reload"),
        ("POST", "/admin/v1/credentials/{}/enter"),
        ("POST", "/admin/v1/targets/reset"),
    }
)
"""Admin routes, besides those that every kind of resource has; `{}` is a parameter."""

METRICS = frozenset(
    {
        "active_requests",
        "cost_microusd",
        "credential_fetch_failures",
        "edge_refused",
        "event_loop_lag_seconds",
        "event_loop_stalls",
        "events_dropped",
        "in_flight_ceiling",
        "jobs",
        "journal_depth",
        "log_lines_dropped",
        "plugin_errors",
        "policy_errors",
        "request_duration_seconds",
        "requests",
        "requests_shed",
        "target_active_requests",
        "target_breaker_state",
        "target_breaker_transitions",
        "tokens",
        "ttft_seconds",
        "unpriced_attempts",
        "upstream_attempts",
    }
)
