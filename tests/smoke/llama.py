"""Ten grey events to a real language model: the local Bedrock endpoint with its backend ``llama``, and the enricher's path to it.

Run it by ``make smoke-llama``, which installs what it needs. The figures go to ``build/smoke/llama.json``, and it exits
with 1 where one is out of bounds. It says that model, wire and agent fit together, and nothing of how a model judges:
this one has 135 million parameters.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import jsonschema
from headgate_enricher.agents import load_agent
from headgate_enricher.bedrock.model import ModelFactory
from headgate_enricher.bedrock.settings import BedrockSettings, ModelSettings
from headgate_local.http_ready import http_not_ready
from headgate_local.ports import choose_ports
from headgate_local.processes import ProcessSpec, ServiceProcess
from headgate_schemas.agent import GreyCase, ModelAnswerError
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SecretStr

from tests.load.bounds import Bound, report
from tests.load.model import Model
from tests.load.traffic import AGENT, MODEL_ID, pools

if TYPE_CHECKING:
    from uuid import UUID

    from headgate_schemas.agent import Agent, Decision
    from langchain_core.outputs import LLMResult

ROOT = Path(__file__).parents[2]
NAME = "bedrock-local"
EVENTS = 10
CALL_TIMEOUT_S = 120.0
HEALTH_EVERY_S = 0.1
BOUNDS = (
    Bound("events_decided", at_least=EVENTS),
    Bound("answers_valid_pct", at_least=100),
    Bound("input_tokens_per_call", at_least=300),
    Bound("output_tokens_per_call", at_least=3),
    Bound("health_slowest_ms", at_most=1_000),
    Bound("counted_not_as_billed", at_most=0),
)


class Watch(BaseCallbackHandler):
    """Looks at each call of the model: how long it took, and whether its answer conforms to the tool's schema."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.valid: list[bool] = []
        self._schemas: dict[str, Any] = {}
        self._began_s = 0.0

    raise_error = True

    def on_chat_model_start(self, *_: object, invocation_params: dict[str, Any] | None = None, **__: object) -> None:
        """Remember the tools and the time."""
        tools = [convert_to_openai_tool(tool)["function"] for tool in (invocation_params or {})["tools"]]
        self._schemas |= {tool["name"]: tool["parameters"] for tool in tools}
        self._began_s = time.monotonic()

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """Validate the answer."""
        del run_id
        self.seconds.append(time.monotonic() - self._began_s)
        calls = response.generations[0][0].message.tool_calls  # type: ignore[union-attr]
        self.valid.append(bool(calls) and all(self._conforms(call) for call in calls))

    def _conforms(self, call: dict[str, Any]) -> bool:
        try:
            jsonschema.validate(call["args"], self._schemas[call["name"]])
        except jsonschema.ValidationError:
            return False
        return True


def main() -> int:
    """Start the endpoint, ask, print and write the figures; 1 where one is out of bounds."""
    folder = ROOT / "build" / "smoke"
    folder.mkdir(parents=True, exist_ok=True)
    port = choose_ports([NAME], {})[NAME]
    url = f"http://127.0.0.1:{port}"
    settings = {"BACKEND": "llama", "HOST": "127.0.0.1", "PORT": str(port)}
    endpoint = ServiceProcess(
        ProcessSpec(
            NAME,
            [sys.executable, "-m", "headgate_bedrock_local"],
            folder,
            lambda: http_not_ready(f"{url}/healthz"),
            environment={f"HEADGATE_BEDROCK_LOCAL_{name}": value for name, value in settings.items()},
        )
    )
    endpoint.start()
    try:
        endpoint.wait_ready()
        figures, details = asyncio.run(deliberate(url))
    finally:
        endpoint.stop()
    return report("smoke", "llama", figures, BOUNDS, details)


async def deliberate(url: str) -> tuple[dict[str, float], dict[str, Any]]:
    """Let the agent decide on grey events through the enricher's model; returns figures and what was decided."""
    settings = BedrockSettings(endpoint_url=url, api_key=SecretStr("local"), timeout_s=CALL_TIMEOUT_S, max_attempts=1)
    factory, watch = ModelFactory(settings), Watch()
    model = factory.create(ModelSettings(id=MODEL_ID))
    model.callbacks = [watch]
    agent = load_agent(AGENT, model, model_id=MODEL_ID)
    waits_s: list[float] = []
    health = asyncio.create_task(watch_health(url, waits_s))
    decisions = [await decided(agent, case) for case in grey_cases(agent)]
    health.cancel()
    await factory.aclose()
    stats = await asyncio.to_thread(Model(url).stats)
    calls = len(watch.seconds)
    reached = [decision for decision in decisions if decision is not None]
    figures = {
        "events_decided": len(reached),
        "calls": calls,
        "answers_valid_pct": 100 * sum(watch.valid) / max(1, calls),
        "seconds_per_call": statistics.median(watch.seconds),
        "input_tokens_per_call": stats["input_tokens"] / max(1, calls),
        "output_tokens_per_call": stats["output_tokens"] / max(1, calls),
        "health_slowest_ms": 1_000 * max(waits_s),
        "counted_not_as_billed": await asyncio.to_thread(miscounted, url),
    }
    return figures, {
        "decisions": dict(Counter(decision.decision for decision in reached)),
        "by_stop_reason": stats["by_stop_reason"],
    }


def grey_cases(agent: Agent) -> list[GreyCase]:
    """Generated events that the rules leave to the model."""
    _, asked = pools(AGENT)
    found = (agent.triage([event], [None])[0] for event in asked)
    return list(itertools.islice((case for case in found if isinstance(case, GreyCase)), EVENTS))


async def decided(agent: Agent, case: GreyCase) -> Decision | None:
    """The decision; None where the model's answers were of no use."""
    try:
        return await agent.deliberate(case)
    except ModelAnswerError:
        return None


async def watch_health(url: str, waits_s: list[float]) -> None:
    """Note how long the health check takes, again and again until cancelled."""
    async with httpx.AsyncClient(base_url=url, timeout=CALL_TIMEOUT_S, trust_env=False) as client:
        while True:
            began_s = time.monotonic()
            (await client.get("/healthz")).raise_for_status()
            waits_s.append(time.monotonic() - began_s)
            await asyncio.sleep(HEALTH_EVERY_S)


def miscounted(url: str) -> int:
    """By how many tokens CountTokens is off from what the same conversation is billed."""
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    client = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=url, **keys)
    asked = {"messages": [{"role": "user", "content": [{"text": "Is a payment of 5 EUR for bread unusual?"}]}]}
    counted = client.count_tokens(modelId=MODEL_ID, input={"converse": asked})["inputTokens"]
    answer = client.converse(modelId=MODEL_ID, inferenceConfig={"maxTokens": 16}, **asked)
    return abs(int(counted) - int(answer["usage"]["inputTokens"]))


if __name__ == "__main__":
    sys.exit(main())
