"""What the endpoint knows of model identifiers and model families."""

from __future__ import annotations

import re

from headgate_bedrock_local.wire import ServiceError

_LONGEST = 2_048
_ARN = re.compile(
    r"arn:aws(-[a-z]+)*:(bedrock|sagemaker):[a-z0-9-]{1,20}:([0-9]{12})?:"
    r"(foundation-model|custom-model|custom-model-deployment|imported-model|provisioned-model|inference-profile"
    r"|application-inference-profile|default-prompt-router|prompt-router|prompt|endpoint)/[A-Za-z0-9.:_/-]+"
)
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_-]*")

# Shortest prefix in tokens that a cachePoint caches, where it is not the usual one (AWS prompt caching guide).
_USUAL_CACHE_MINIMUM = 1_024
_CACHE_MINIMUM = (("claude-haiku-4-5", 4_096), ("claude-opus-4-5", 4_096), ("claude-3-5-haiku", 2_048))

# Families that take no forced tool choice (AWS ToolChoice reference).
_NO_FORCED_TOOL = ("openai.gpt-oss", "meta.llama3")


def check_model_id(model_id: str) -> str:
    """The identifier or ARN, decoded from the path.

    Raises:
        ServiceError: It is neither a model id, an inference profile id nor an ARN of a kind Converse takes.
    """
    if len(model_id) <= _LONGEST and (_PLAIN.fullmatch(model_id) or _ARN.fullmatch(model_id)):
        return model_id
    raise ServiceError("ValidationException", "The model identifier in the path is invalid.")


def cache_minimum(model_id: str) -> int:
    """Tokens a prefix needs before a cachePoint caches it."""
    return next((minimum for family, minimum in _CACHE_MINIMUM if family in model_id), _USUAL_CACHE_MINIMUM)


def takes_forced_tool(model_id: str) -> bool:
    """Whether toolChoice may be ``any`` or ``tool`` with this model."""
    return not any(family in model_id for family in _NO_FORCED_TOOL)
