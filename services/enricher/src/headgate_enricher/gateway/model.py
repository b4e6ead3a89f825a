"""The chat model an agent gets: it looks like one model, and is whichever may answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.runnables.config import var_child_runnable_config
from pydantic import ConfigDict, Field

from headgate_enricher.gateway.calls import Calls  # noqa: TC001 (pydantic reads the annotation)
from headgate_enricher.gateway.endpoint import Question
from headgate_enricher.gateway.spending import current_spending

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import RunnableConfig

_ASYNC_ONLY = "This model is called with ainvoke: a blocking call has no deadline and no budget."


class GatewayModel(BaseChatModel):
    """Asks the models of its routes through all that stands before them.

    Only called while deliberating on an event, which is whose budget pays and whose position an answer is kept under.
    Only the async calls exist, and they do not stream. Where no callback listens, langchain's own way to ``_agenerate``
    is left out: it costs as much as the call itself.

    Attributes:
        calls: Finds or gets the answers.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    calls: Calls = Field(exclude=True)
    disable_streaming: bool = True

    @property
    def _llm_type(self) -> str:
        return "headgate-gateway"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools that every model of the routes takes, now and after a switch.

        Raises:
            ValueError: One of them cannot be used so, such as one that cannot be forced to call a tool.
        """
        bound = self.calls.routes.bind({"tools": tools, "tool_choice": tool_choice, **kwargs})
        return BoundModel(self, bound)

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 (langchain's signature)
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Ask once; see ``BaseChatModel.ainvoke``."""
        if not isinstance(input, list) or _listening(config):
            return await super().ainvoke(input, config, stop=stop, **kwargs)
        return await self.calls.answer(Question(input, stop, kwargs, current_spending()))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 (langchain's signature)
        **kwargs: Any,
    ) -> ChatResult:
        message = await self.calls.answer(Question(messages, stop, kwargs, current_spending()))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise NotImplementedError(_ASYNC_ONLY)


class BoundModel(Runnable[Any, AIMessage]):
    """A ``GatewayModel`` with what was bound to it; unlike langchain's binding it merges no configurations.

    Args:
        model: The model.
        bound: Arguments of every call.
    """

    def __init__(self, model: GatewayModel, bound: Mapping[str, Any]) -> None:
        self._model = model
        self._bound = bound

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 (langchain's signature)
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Ask once; see ``GatewayModel.ainvoke``."""
        return await self._model.ainvoke(input, config, **{**self._bound, **kwargs})

    def invoke(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse; see ``GatewayModel``."""
        raise NotImplementedError(_ASYNC_ONLY)


def _listening(config: RunnableConfig | None) -> bool:
    """Whether anybody would hear of a call: the caller's callbacks, those of the run it is in, or a tracer."""
    inherited = var_child_runnable_config.get() or {}
    for callbacks in ((config or {}).get("callbacks"), inherited.get("callbacks")):
        if callbacks and (isinstance(callbacks, list) or callbacks.handlers):
            return True
    return False
