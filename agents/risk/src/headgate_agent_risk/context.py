"""What stays the same while an agent runs: rules, policy, model id, and the version that stands for all of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headgate_agent_toolkit.masking import Masker, tagged_fields
from headgate_agent_toolkit.version import code_digest, version_of

from headgate_agent_risk.external import Outside
from headgate_agent_risk.lookups import read_only_tools
from headgate_agent_risk.policy import Policy, load_policy
from headgate_agent_risk.prompts import system_prompt
from headgate_agent_risk.reference import Reference, load_reference
from headgate_agent_risk.rules import Rule, load_rules
from headgate_agent_risk.toolbox import Toolbox
from headgate_agent_risk.tools import tool_schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headgate_schemas.agent import ExternalTool


@dataclass(frozen=True, slots=True)
class RiskContext:
    """The fixed inputs of every decision.

    Attributes:
        model_id: The model asked about grey events.
        rules: In the order of their file.
        policy: Thresholds and lists.
        reference: What the tools answer from.
        pii: Class of personal data by field path of the event.
        code: SHA-256 of the modules that take part in a decision, hexadecimal.
        external: Tools of servers outside that the model may call as well.
    """

    model_id: str
    rules: tuple[Rule, ...]
    policy: Policy
    reference: Reference
    pii: tuple[tuple[str, str], ...]
    code: str
    external: tuple[ExternalTool, ...] = ()
    masker: Masker = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Compile what is personal; raises ValueError where the policy lets a person's identifier into prompts."""
        object.__setattr__(self, "masker", Masker(dict(self.pii), self.policy.prompt_text_chars))

    def toolbox(self) -> Toolbox:
        """The tools a model is offered."""
        return Toolbox(
            read_only_tools(self.policy, self.reference),
            allowed=self.policy.tools,
            time_limit_s=self.policy.tool_time_limit_s,
            outside=Outside(self.external, self.masker),
        )

    @property
    def version(self) -> str:
        """Short hash over all that a decision depends on besides the event."""
        parts: dict[str, Any] = {
            "model_id": self.model_id,
            "rules": [rule.model_dump(mode="json") for rule in self.rules],
            "policy": self.policy.model_dump(),
            "code": self.code,
            "prompt": system_prompt(self.policy),
            "tool": tool_schema(),
            "tools": self.toolbox().schemas(),
            "external": [[tool.label, tool.results] for tool in self.external],
            "reference": self.reference.model_dump(mode="json"),
            "pii": self.pii,
        }
        return version_of(parts)


def load_context(model_id: str, external: Iterable[ExternalTool] = ()) -> RiskContext:
    """Read rules and policy from the package.

    Args:
        model_id: The model asked about grey events.
        external: Tools of servers outside that it may call as well.

    Raises:
        ValueError: They are malformed or contradict themselves; the text names the place.
    """
    return RiskContext(
        model_id=model_id,
        rules=load_rules(),
        policy=load_policy(),
        reference=load_reference(),
        pii=tuple(sorted(tagged_fields().items())),
        code=code_digest(__package__),
        external=tuple(external),
    )
