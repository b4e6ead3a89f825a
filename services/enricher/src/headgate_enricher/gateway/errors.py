"""Why the gateway makes no call; each error carries the code that becomes the record's fallback reason."""

from __future__ import annotations

from typing import ClassVar

from headgate_enricher.bedrock.errors import classify


class GatewayError(Exception):
    """No model was asked, though one was wanted."""

    reason: ClassVar[str]


class BudgetExhaustedError(GatewayError):
    """The purse pays for no model that is configured."""

    reason = "budget"


class PurseUnavailableError(GatewayError):
    """Nobody can say whether the call may be paid."""

    reason = "budget_unavailable"


class BreakerOpenError(GatewayError):
    """The models have failed too often lately."""

    reason = "breaker"


class RateLimitedError(GatewayError):
    """The configured requests or tokens a minute leave no room before the deadline."""

    reason = "rate_limited"


def reason_of(error: BaseException) -> str:
    """The reason code of whatever a call through the gateway raised."""
    return error.reason if isinstance(error, GatewayError) else classify(error)
