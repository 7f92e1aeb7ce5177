"""Usage records as files, a page at a time: CSV, NDJSON, and FOCUS, the FinOps Open Cost and Usage Specification."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from switchgear.contracts.record import Records
from switchgear.contracts.store import RecordQuery, RecordRow
from switchgear_plugins.usage.record import UsageRecord

Format = Literal["csv", "ndjson", "focus"]
MEDIA_TYPES: Mapping[str, str] = MappingProxyType(
    {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson", "focus": "text/csv; charset=utf-8"}
)
_PAGE = 1000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would work out rather than show."""
_COLUMNS = tuple(field.name for field in msgspec.structs.fields(UsageRecord))
_record = msgspec.json.Decoder(UsageRecord)
_FOCUS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
    "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart",
    "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost",
    "PricingCategory", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "RegionId", "RegionName",
    "ResourceId", "ResourceName", "ResourceType", "ServiceCategory", "ServiceName", "SkuId", "SkuPriceId",
    "SubAccountId", "SubAccountName", "Tags", "x_RequestId", "x_KeyId", "x_UserId", "x_Outcome", "x_InputTokens",
    "x_OutputTokens", "x_UsageEstimated",
)  # fmt: skip


async def lines(records: Records, query: RecordQuery, format: Format) -> AsyncIterator[bytes]:
    """Yield a file of the records that match, newest first; no more than a page of them is held."""
    if format != "ndjson":
        yield _csv([_COLUMNS if format == "csv" else _FOCUS])
    write = _WRITERS[format]
    query = msgspec.structs.replace(query, limit=_PAGE)
    while True:
        rows = await records.scan(query)
        if rows:
            yield write(rows)
        if len(rows) < _PAGE:
            return
        query = msgspec.structs.replace(query, before=(rows[-1].at_us, rows[-1].id))


def _ndjson(rows: Sequence[RecordRow]) -> bytes:
    return b"".join(row.body + b"\n" for row in rows)


def _plain(rows: Sequence[RecordRow]) -> bytes:
    return _csv([[_cell(getattr(record, name)) for name in _COLUMNS] for record in map(_decoded, rows)])


def _focus(rows: Sequence[RecordRow]) -> bytes:
    return _csv([[_cell(value) for value in _charge(record)] for record in map(_decoded, rows)])


_WRITERS: Mapping[str, Callable[[Sequence[RecordRow]], bytes]] = MappingProxyType(
    {"csv": _plain, "ndjson": _ndjson, "focus": _focus}
)


def _decoded(row: RecordRow) -> UsageRecord:
    return _record.decode(row.body)


def _csv(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, tuple)):
        return msgspec.json.encode(value).decode() if value else ""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _charge(record: UsageRecord) -> Sequence[Any]:
    """Return a call as a charge: its cost is that of all its attempts, and empty where it is not known."""
    begin = datetime.fromtimestamp(record.at_us / 1e6, UTC)
    month = begin.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    cost = None if record.cost_microusd is None else format(Decimal(record.cost_microusd) / 1_000_000, "f")
    tokens = None if record.input_tokens is None else record.input_tokens + (record.output_tokens or 0)
    tags = {**record.labels, **dict.fromkeys(record.tags, ""), **({"user": record.user_id} if record.user_id else {})}
    provider = record.provider or "none"
    sku = f"{provider}/{record.provider_model or record.model}"
    unit = None if tokens is None else "Tokens"
    known: dict[str, Any] = {
        "BilledCost": cost,
        "BillingAccountId": provider,
        "BillingAccountName": provider,
        "BillingCurrency": "USD",
        "BillingPeriodEnd": _time((month + timedelta(days=32)).replace(day=1)),
        "BillingPeriodStart": _time(month),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{record.operation} by {record.model}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": _time(begin.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)),
        "ChargePeriodStart": _time(begin.replace(minute=0, second=0, microsecond=0)),
        "ConsumedQuantity": tokens,
        "ConsumedUnit": unit,
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "InvoiceIssuerName": provider,
        "ListCost": cost,
        "PricingCategory": "Standard",
        "PricingQuantity": tokens,
        "PricingUnit": unit,
        "ProviderName": provider,
        "PublisherName": provider,
        "ResourceId": record.target,
        "ResourceName": record.target,
        "ResourceType": "Model",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": provider,
        "SkuId": sku,
        "SkuPriceId": record.price_version and f"{sku}@{record.price_version}",
        "SubAccountId": record.team_id,
        "SubAccountName": record.team_id,
        "Tags": tags or {"key": record.key_id},
        "x_RequestId": record.request_id,
        "x_KeyId": record.key_id,
        "x_UserId": record.user_id,
        "x_Outcome": record.outcome,
        "x_InputTokens": record.input_tokens,
        "x_OutputTokens": record.output_tokens,
        "x_UsageEstimated": record.usage_estimated,
    }
    return [known.get(name) for name in _FOCUS]


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
