"""What all parts of a contract are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

FieldPath = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]
Name = Annotated[str, Field(min_length=1)]


class ContractPart(BaseModel):
    """A part of a contract: nothing in it is changed, and nothing it does not know is passed over."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
