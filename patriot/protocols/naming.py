"""Contract names as ccxt has them. Rule: both sides of the platform name a market alike."""

from datetime import UTC, datetime

from patriot.domain.errors import InvalidValue

DELIVERY_MAX_MS = 253_402_300_800_000  # year 10000


def contract_suffix(settle: str, delivery_ms: int) -> str:
    """Perpetuals (delivery 0) add ":USDT" to their pair, contracts delivered on a day ":USDT-240927"."""
    if delivery_ms == 0:
        return f":{settle}"
    if not 0 < delivery_ms < DELIVERY_MAX_MS:
        raise InvalidValue("delivery", "must be a time in milliseconds")
    return f":{settle}-{datetime.fromtimestamp(delivery_ms // 1000, UTC):%y%m%d}"
