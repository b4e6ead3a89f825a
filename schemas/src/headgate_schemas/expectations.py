"""What a table's owner expects of what is committed to it: of each commit as a whole, where a rule is of one value."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StrictInt, StrictStr, model_validator

from headgate_schemas.parts import ContractPart, FieldPath, Name

Measure = Literal["freshness_s", "rows", "null_share", "mean", "share"]


class Expectation(ContractPart):
    """Bounds of one measure of the rows of a commit.

    Attributes:
        name: Unique in the table; a label of the metrics.
        measure: ``rows``: how many they are; ``freshness_s``: seconds from the newest instant in the field to the commit;
            ``null_share``: of the field, 0 to 1; ``mean``: of the numbers in the field; ``share``: of rows whose field has
            the value, 0 to 1.
        field: What is measured; none for ``rows``.
        value: Whose share it is.
        minimum: Least value that meets it; ``maximum`` is the largest.
        least_rows: Shares and means of smaller commits are not judged: they say little.
    """

    name: Name
    measure: Measure
    field: FieldPath | None = None
    value: StrictStr | StrictInt | StrictBool | None = None
    minimum: float | None = None
    maximum: float | None = None
    least_rows: Annotated[int, Field(ge=1)] = 100

    def met(self, found: float) -> bool:
        """Whether a measured value is within; NaN is not."""
        low = float("-inf") if self.minimum is None else self.minimum
        return low <= found <= (float("inf") if self.maximum is None else self.maximum)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if (self.measure == "rows") != (self.field is None):
            raise ValueError("rows are of no field, and all else is of one: give or leave out field")
        if (self.measure == "share") != (self.value is not None):
            raise ValueError("a share is of a value, and nothing else is: give measure share and value together")
        if self.minimum is None and self.maximum is None:
            raise ValueError("expects nothing; give minimum or maximum")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"nothing can be at least {self.minimum} and at most {self.maximum}")
        return self
