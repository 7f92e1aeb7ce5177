"""An address with a query, as `https://host/v1?api-version=1`: it stands behind the path of each request."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from switchgear.contracts.upstream import Connection, OutboundRequest, UpstreamResponse


class Querying:
    """A connection whose requests below `base_url` carry a query."""

    def __init__(self, connection: Connection, base_url: str, query: str) -> None:
        self._connection = connection
        self._below = base_url.rstrip("/")
        self._query = query

    async def send(self, request: OutboundRequest, extra: Mapping[str, str] | None = None) -> UpstreamResponse:
        """Send it with the query; see the contract."""
        if request.url.startswith(self._below):
            joined = "&" if "?" in request.url else "?"
            request = replace(request, url=f"{request.url}{joined}{self._query}")
        return await self._connection.send(request, extra)

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)
