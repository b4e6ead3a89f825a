"""Headgate's contracts as data (Avro records, topics, rules) and the package that reads them."""

from headgate_schemas.contracts import Contracts
from headgate_schemas.errors import ContractError
from headgate_schemas.paths import Getter, field_getter
from headgate_schemas.records import RecordSchema, strip_logical_types
from headgate_schemas.rules import Violation, compile_rules
from headgate_schemas.topics import PartitionField, Rule, TableContract, TopicContract

__all__ = [
    "ContractError",
    "Contracts",
    "Getter",
    "PartitionField",
    "RecordSchema",
    "Rule",
    "TableContract",
    "TopicContract",
    "Violation",
    "compile_rules",
    "field_getter",
    "strip_logical_types",
]
