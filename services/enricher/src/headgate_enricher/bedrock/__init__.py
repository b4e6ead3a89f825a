"""The Bedrock chat model: native async, one pool of connections, one owner of retries, reason codes for what fails."""

from headgate_enricher.bedrock.deadline import deadline
from headgate_enricher.bedrock.errors import classify
from headgate_enricher.bedrock.model import AsyncBedrockConverse, create_model
from headgate_enricher.bedrock.settings import BedrockSettings

__all__ = ["AsyncBedrockConverse", "BedrockSettings", "classify", "create_model", "deadline"]
