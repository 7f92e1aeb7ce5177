"""What `[gateway]` in plugins.toml may say. Times are seconds, sizes bytes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import platformdirs
from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

from switchgear.contracts.upstream import Timeouts
from switchgear.edge.settings import EdgeSettings, OverloadSettings
from switchgear.errors import ConfigError
from switchgear.exchange.health.settings import RoutingSettings
from switchgear.fitting import fitted
from switchgear.names import ID_PATTERN
from switchgear.upstream.egress import EgressPolicy

Seconds = Annotated[float, Meta(gt=0)]
Bytes = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=0, le=65535)]


class EgressSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where outbound calls may go besides public addresses: addresses or networks."""

    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        try:
            EgressPolicy(self.allow)  # found when the file is read, at the start as on a reload, not at the first call
        except ConfigError as error:
            raise ValueError("; ".join(error.failures)) from None


Origin = Annotated[str, Meta(pattern=r"^(\*|[a-z][a-z0-9+.-]*://[a-z0-9.\[\]:_-]+)$")]


class CorsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """From where browsers may call the data plane: origins as `https://app.example.com`, or `*` for everywhere.

    `max_age` is for how many seconds a browser may remember that.
    """

    origins: tuple[Origin, ...] = ()
    max_age: Annotated[int, Meta(ge=0)] = 600


class UpstreamSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The client that calls providers: whether certificates are checked unless a provider says otherwise."""

    verify_tls: bool = True


class JournalSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The journal of records: an acknowledged record survives the end of the process, with `full` also a loss of power."""

    durability: Literal["process", "full"] = "process"
    cap_bytes: Bytes = 1_073_741_824
    segment_bytes: Bytes = 4_194_304


class MetricsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What comes before the name of every metric."""

    prefix: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]*$")] = "switchgear"


def platform_data_dir() -> str:
    """Return the directory where this platform keeps a program's data for this user."""
    return platformdirs.user_data_dir("switchgear", appauthor=False)


class GatewaySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The kernel's own settings.

    `workers` is how many processes serve on one machine, `replicas` how many gateways like this one share counters.
    `model_prefix` may come before every name in `model`: with "acme", `acme/gpt-4o` is `gpt-4o`.
    `plugin_timeout` bounds each plugin's start and stop, `drain_grace` the streams still running at shutdown; `counters` and
    `jobs` name the active counters and job queue when several plugins offer some; `admin_key` is a secret that opens
    /admin/v1. From an address that sent more than `failed_credentials` a minute that were not good, only those are taken that
    are known already; 0: no such bound. Each of several processes (`workers` times `replicas`) has its share of them. Everything
    is served below `root_path` too, as a proxy may have it ("/llm"), and links begin with it.
    """

    variables: ClassVar[Mapping[str, str]] = {
        "HOST": "host",
        "PORT": "port",
        "ADMIN_KEY": "admin_key",
        "LOG_LEVEL": "log_level",
        "REQUEST_TIMEOUT_SECS": "timeouts.total",
        "TTFT_TIMEOUT_SECS": "timeouts.first_byte",
        "VERIFY_SSL": "upstream.verify_tls",
    }

    host: str = "127.0.0.1"
    port: Port = 8080
    data_dir: str = field(default_factory=platform_data_dir)
    admin_key: str | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    plugin_timeout: Seconds = 10.0
    drain_grace: Annotated[float, Meta(ge=0)] = 30.0
    counters: str | None = None
    jobs: str | None = None
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    replicas: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    model_prefix: Annotated[str, Meta(pattern=ID_PATTERN)] | None = None
    failed_credentials: Annotated[int, Meta(ge=0)] = 600
    root_path: Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9._~-]+)*$")] = ""
    egress: EgressSettings = EgressSettings()
    cors: CorsSettings = CorsSettings()
    edge: EdgeSettings = EdgeSettings()
    overload: OverloadSettings = OverloadSettings()
    timeouts: Timeouts = Timeouts()
    upstream: UpstreamSettings = UpstreamSettings()
    journal: JournalSettings = JournalSettings()
    metrics: MetricsSettings = MetricsSettings()
    routing: RoutingSettings = RoutingSettings()

    def __post_init__(self) -> None:
        if self.admin_key is not None:
            try:
                force_setattr(self, "admin_key", fitted(self.admin_key) or None)
            except ValueError as error:
                raise ValueError(f"admin_key (ADMIN_KEY) cannot be meant: {error}") from None

    @property
    def processes(self) -> int | None:
        """How many processes share the counters, None where nobody says."""
        return None if self.replicas is None else self.replicas * self.workers

    @property
    def data_path(self) -> Path:
        """The data directory, `~` expanded. Raises `ConfigError` where nobody's home is known."""
        try:
            return Path(self.data_dir).expanduser()
        except RuntimeError:
            raise ConfigError(
                f"[gateway] data_dir: the home directory in {self.data_dir!r} is not known: set HOME, or give --data-dir"
            ) from None
