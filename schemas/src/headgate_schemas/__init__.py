"""Headgate's contracts as data (Avro records, topics, rules) and the package that reads them."""

from headgate_schemas.checks import check_contracts
from headgate_schemas.compatibility import Incompatibility, incompatibilities
from headgate_schemas.contracts import Contracts
from headgate_schemas.errors import ContractError
from headgate_schemas.examples import parse_value
from headgate_schemas.expectations import Expectation
from headgate_schemas.paths import Getter, field_getter, texts_getter, with_replaced
from headgate_schemas.pii import Treatments, treatments
from headgate_schemas.records import RecordSchema, project, strip_logical_types
from headgate_schemas.rules import Violation, broken, class_of, compile_rules, compile_value_rules
from headgate_schemas.topics import PartitionField, PiiPolicy, RowVersions, Rule, TableContract, TopicContract
from headgate_schemas.views import latest_rows, latest_view

__all__ = [
    "ContractError",
    "Contracts",
    "Expectation",
    "Getter",
    "Incompatibility",
    "PartitionField",
    "PiiPolicy",
    "RecordSchema",
    "RowVersions",
    "Rule",
    "TableContract",
    "TopicContract",
    "Treatments",
    "Violation",
    "broken",
    "check_contracts",
    "class_of",
    "compile_rules",
    "compile_value_rules",
    "field_getter",
    "incompatibilities",
    "latest_rows",
    "latest_view",
    "parse_value",
    "project",
    "strip_logical_types",
    "texts_getter",
    "treatments",
    "with_replaced",
]
