"""The Bedrock chat models: native async, one pool of connections, one owner of retries, reason codes for what fails."""

from headgate_enricher.bedrock.deadline import deadline
from headgate_enricher.bedrock.errors import classify
from headgate_enricher.bedrock.model import AsyncBedrockConverse, ModelFactory
from headgate_enricher.bedrock.request import ConverseRequest
from headgate_enricher.bedrock.settings import BedrockSettings, ModelSettings

__all__ = [
    "AsyncBedrockConverse",
    "BedrockSettings",
    "ConverseRequest",
    "ModelFactory",
    "ModelSettings",
    "classify",
    "deadline",
]
