"""Fault knobs, and the draws that decide which call a fault hits."""

from __future__ import annotations

import struct
from hashlib import blake2b
from math import exp
from statistics import NormalDist
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from headgate_bedrock_local.wire import ServiceError

HEADER = "x-headgate-faults"

Rate = Annotated[float, Field(ge=0, le=1)]
Word = Annotated[str, Field(min_length=1, max_length=100)]

_MANTISSA_BITS = 53
_LEAST_QUANTILE = 1e-9

# Knob, code and text of what every call gets until an operator mends it. A repair of the account is no code of its own:
# an unpaid one is told by a text, and a day's quota by another text of throttling.
_STANDING = (
    ("denied", "AccessDeniedException", "You don't have access to the model with this identifier."),
    ("unpaid", "AccessDeniedException", "INVALID_PAYMENT_INSTRUMENT: the account has no valid means of payment."),
    ("not_found", "ResourceNotFoundException", "There is no model or guardrail with this identifier."),
    ("invalid", "ValidationException", "The model does not take this request."),
    ("over_quota", "ThrottlingException", "Too many tokens today; the quota of a day is used up."),
)
# Knob, code and text of what a share of the calls gets: before a model is asked, and after the time it took.
_FRONT = (
    ("throttle", "ThrottlingException", "Too many requests; wait."),
    ("not_ready", "ModelNotReadyException", "The model is not ready; try again in a while."),
    ("error", "ServiceUnavailableException", "The service is unavailable."),
    ("internal", "InternalServerException", "The service failed."),
)
_MODEL = (
    ("timeout", "ModelTimeoutException", "The model took too long to answer."),
    ("model_error", "ModelErrorException", "The model failed while it answered."),
)


class Faults(BaseModel):
    """Knobs one call can carry in the ``x-headgate-faults`` header as a JSON object; rates are shares of calls.

    Attributes:
        latency_ms: Median time a model takes to answer, in milliseconds.
        jitter: Sigma of the log-normal spread of the latency; 0 gives every call the median.
        retry_after_s: Seconds in the Retry-After header of 429, 500 and 503; None sends no such header.
        denied: Every call gets 403 AccessDeniedException.
        unpaid: Every call gets 403 AccessDeniedException that names the means of payment.
        not_found: Every call gets 404 ResourceNotFoundException.
        invalid: Every call gets 400 ValidationException.
        over_quota: Every call gets 429 ThrottlingException that names the quota of a day.
        throttle_rate: Calls that get 429 ThrottlingException.
        not_ready_rate: Calls that get 429 ModelNotReadyException.
        error_rate: Calls that get 503 ServiceUnavailableException.
        internal_rate: Calls that get 500 InternalServerException.
        reset_rate: Calls whose connection is reset instead of answered, after the latency and unpaid.
        hang_rate: Calls that are never answered, and not paid.
        timeout_rate: Calls that get 408 ModelTimeoutException, after the latency.
        model_error_rate: Calls that get 424 ModelErrorException, after the latency.
        drop_rate: Answers paid for whose connection is closed in the middle.
        garble_rate: Answers paid for whose body is no JSON, or whose stream has a wrong checksum.
        stream_error_rate: Streams paid for that end in an exception in the middle.
        stream_error: Which one.
        guardrail_rate: Answers stopped by a guardrail.
        filter_rate: Answers stopped by the provider's content filter.
        refusal_rate: Answers that are a refusal in words, also where a tool was forced.
        empty_rate: Answers without a content block.
        truncate_rate: Answers cut as if maxTokens had been reached.
        malformed_rate: Answers that do not conform to the schema asked for.
        multi_block_rate: Right answers with a block of text before and after.
        guardrail_words: Words and phrases that a guardrail blocks, whichever guardrail a call names; case aside.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    latency_ms: float = Field(default=0, ge=0, le=600_000)
    jitter: float = Field(default=0, ge=0, le=3)
    retry_after_s: float | None = Field(default=None, ge=0, le=3_600)
    denied: bool = False
    unpaid: bool = False
    not_found: bool = False
    invalid: bool = False
    over_quota: bool = False
    throttle_rate: Rate = 0
    not_ready_rate: Rate = 0
    error_rate: Rate = 0
    internal_rate: Rate = 0
    reset_rate: Rate = 0
    hang_rate: Rate = 0
    timeout_rate: Rate = 0
    model_error_rate: Rate = 0
    drop_rate: Rate = 0
    garble_rate: Rate = 0
    stream_error_rate: Rate = 0
    stream_error: Literal[
        "internalServerException",
        "modelStreamErrorException",
        "serviceUnavailableException",
        "throttlingException",
        "validationException",
    ] = "modelStreamErrorException"
    guardrail_rate: Rate = 0
    filter_rate: Rate = 0
    refusal_rate: Rate = 0
    empty_rate: Rate = 0
    truncate_rate: Rate = 0
    malformed_rate: Rate = 0
    multi_block_rate: Rate = 0
    guardrail_words: tuple[Word, ...] = Field(default=(), max_length=100)

    def overridden(self, header: str) -> Faults:
        """These faults with those of one call's header on top.

        Raises:
            ServiceError: The header is no JSON object of known knobs.
        """
        try:
            return Faults.model_validate({**self.model_dump(include=set(Faults.model_fields)), **orjson.loads(header)})
        except (orjson.JSONDecodeError, TypeError, ValidationError) as error:
            raise ServiceError(
                "ValidationException", f"{HEADER} must be a JSON object of fault knobs: {error}"
            ) from None


class EndpointFaults(Faults):
    """The knobs of the whole endpoint: those of a call, and the quotas each model has.

    Attributes:
        requests_per_minute: Calls a minute a model takes before it throttles; 0 sets no limit.
        tokens_per_minute: Tokens a minute a model takes, input and maxTokens reserved together; 0 sets no limit.
    """

    requests_per_minute: int = Field(default=0, ge=0, le=10_000_000)
    tokens_per_minute: int = Field(default=0, ge=0, le=10_000_000_000)


class Dice:
    """Draws that depend on the seed, the prompt and how often it was asked, and on nothing else.

    The order in which concurrent calls arrive cannot change which of them a fault hits: a load test repeats exactly.
    """

    def __init__(self, seed: int, prompt: bytes, attempt: int) -> None:
        self._key = prompt + struct.pack(">qq", seed, attempt)

    def roll(self, name: str) -> float:
        """Draw for one knob, evenly from [0, 1)."""
        digest = blake2b(name.encode(), digest_size=8, key=self._key).digest()
        return (int.from_bytes(digest, "big") >> (64 - _MANTISSA_BITS)) / (1 << _MANTISSA_BITS)

    def hits(self, name: str, rate: float) -> bool:
        """Whether a fault of this name and rate hits this call."""
        return rate > 0 and self.roll(name) < rate

    def latency_s(self, faults: Faults) -> float:
        """Seconds this call takes: log-normal around the median."""
        if not faults.jitter or not faults.latency_ms:
            return faults.latency_ms / 1_000
        quantile = max(self.roll("latency"), _LEAST_QUANTILE)
        return faults.latency_ms / 1_000 * exp(faults.jitter * NormalDist().inv_cdf(quantile))


def fail_at_the_front(faults: Faults, dice: Dice) -> None:
    """What a call gets before a model is asked.

    Raises:
        ServiceError: A knob hits.
    """
    for name, code, message in _STANDING:
        if getattr(faults, name):
            raise ServiceError(code, message)
    for name, code, message in _FRONT:
        if dice.hits(name, getattr(faults, f"{name}_rate")):
            raise ServiceError(code, message, faults.retry_after_s)


def fail_at_the_model(faults: Faults, dice: Dice) -> None:
    """What a call gets after the time the model took.

    Raises:
        ServiceError: A knob hits.
    """
    for name, code, message in _MODEL:
        if dice.hits(name, getattr(faults, f"{name}_rate")):
            raise ServiceError(code, message)
