"""A real chat model for the evaluation, over Bedrock's wire; needs the extra ``evals`` of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.config import Config
from langchain_aws import ChatBedrockConverse

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_MOST_TOKENS = 400
_ATTEMPTS = 5


def bedrock_model(url: str, *, model_id: str, region: str) -> BaseChatModel:
    """Make the model; credentials are found where every AWS client finds them.

    Args:
        url: Endpoint of Bedrock Runtime, a real one or the local one.
        model_id: Model or inference profile.
        region: Region the calls are signed for.
    """
    return ChatBedrockConverse(
        model_id=model_id,
        endpoint_url=url,
        region_name=region,
        max_tokens=_MOST_TOKENS,
        temperature=0,
        config=Config(retries={"mode": "standard", "total_max_attempts": _ATTEMPTS}, max_pool_connections=32),
    )
