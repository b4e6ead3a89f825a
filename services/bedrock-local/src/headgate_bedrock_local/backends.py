"""What answers: the policies that are installed, or a small language model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from headgate_bedrock_local.llama_backend import load_llama
from headgate_bedrock_local.policies import load_policies, load_preparations
from headgate_bedrock_local.policy_backend import PolicyBackend

if TYPE_CHECKING:
    from headgate_bedrock_local.answers import Answer
    from headgate_bedrock_local.config import Settings
    from headgate_bedrock_local.requests import Conversation, ConverseRequest


class Backend(Protocol):
    """Answers the requests that no fault kept from it."""

    async def input_tokens(self, conversation: Conversation) -> int:
        """Tokens the model reads of it."""

    async def answer(self, request: ConverseRequest, prompt: bytes) -> Answer:
        """Answer a request; ``prompt`` is its digest.

        Raises:
            ServiceError: There is no answer.
        """


def create_backend(settings: Settings) -> Backend:
    """The backend that the settings name.

    Raises:
        PolicyError: A policy that is installed cannot be used.
        BackendError: What the backend needs is not installed.
    """
    if settings.backend == "llama":
        return load_llama(settings.llama)
    return PolicyBackend(load_policies(), load_preparations())
