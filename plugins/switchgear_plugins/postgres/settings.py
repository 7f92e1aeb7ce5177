from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(gt=0, le=600)]


class PostgresSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The table [plugins.postgres].

    url                `postgresql://user:password@host:5432/database`, with whatever libpq knows behind it
    connections        most connections for what calls need and for writes, in each process
    ledger_connections most connections on which records are written, which nothing else waits for
    admin_connections  most connections for questions of operators (lists, records, summaries), for which no call waits
    connect            seconds in which a connection must be there
    statement          seconds after which a statement is given up
    """

    url: str
    connections: Annotated[int, Meta(ge=1, le=200)] = 8
    ledger_connections: Annotated[int, Meta(ge=1, le=50)] = 2
    admin_connections: Annotated[int, Meta(ge=1, le=50)] = 2
    connect: Seconds = 5.0
    statement: Seconds = 30.0
