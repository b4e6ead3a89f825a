"""What stays the same while an agent runs: rules, policy, model id, and the version that stands for all of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from headgate_agent_toolkit.masking import Masker, tagged_fields
from headgate_agent_toolkit.version import code_digest, version_of

from headgate_agent_session.policy import Policy, load_policy
from headgate_agent_session.prompts import SYSTEM_PROMPT
from headgate_agent_session.rules import Rule, load_rules
from headgate_agent_session.tools import INTENT


@dataclass(frozen=True, slots=True)
class SessionContext:
    """The fixed inputs of every decision.

    Attributes:
        model_id: The model asked about grey events.
        rules: In the order of their file.
        policy: Thresholds and lists.
        pii: Class of personal data by field path of the event.
        code: SHA-256 of the modules that take part in a decision, hexadecimal.
    """

    model_id: str
    rules: tuple[Rule, ...]
    policy: Policy
    pii: tuple[tuple[str, str], ...]
    code: str
    masker: Masker = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Compile what is personal; raises ValueError where the policy lets a person's identifier into prompts."""
        object.__setattr__(self, "masker", Masker(dict(self.pii), self.policy.prompt_text_chars))

    @property
    def version(self) -> str:
        """Short hash over all that a decision depends on besides the event."""
        return version_of(
            {
                "model_id": self.model_id,
                "rules": [rule.model_dump(mode="json") for rule in self.rules],
                "policy": self.policy.model_dump(mode="json"),
                "pii": self.pii,
                "code": self.code,
                "prompt": SYSTEM_PROMPT,
                "tool": INTENT.schema(),
            }
        )


def load_context(model_id: str) -> SessionContext:
    """Read rules and policy from the package.

    Raises:
        ValueError: They are malformed or contradict themselves; the text names the place.
    """
    return SessionContext(
        model_id=model_id,
        rules=load_rules(),
        policy=load_policy(),
        pii=tuple(sorted(tagged_fields().items())),
        code=code_digest(__package__),
    )
