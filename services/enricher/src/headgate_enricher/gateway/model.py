"""The chat model an agent gets: it looks like one model, and is whichever may answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from langchain_core.language_models import BaseChatModel
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import ConfigDict, Field

from headgate_enricher.gateway.calls import Calls  # noqa: TC001 (pydantic reads the annotation)
from headgate_enricher.gateway.endpoint import Question
from headgate_enricher.gateway.spending import current_spending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.runnables import Runnable


class GatewayModel(BaseChatModel):
    """Asks the models of its routes through all that stands before them.

    Only called while deliberating on an event, which is whose budget pays and whose position an answer is kept under.
    Only the async calls exist, and they do not stream.

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
        return self.bind(**self.calls.routes.bind({"tools": tools, "tool_choice": tool_choice, **kwargs}))

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
        raise NotImplementedError("This model is called with ainvoke: a blocking call has no deadline and no budget.")
