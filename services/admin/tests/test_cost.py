"""The cost model: its figures, its arithmetic, its refusals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from headgate_admin.cost import breakeven, comparison, scale
from headgate_admin.cost.alternatives.models import BILLS, total
from headgate_admin.cost.estimate import estimate
from headgate_admin.cost.figures import Figure, FigureList, load_book
from headgate_admin.cost.lines import bill
from headgate_admin.cost.sizing import enricher_us, size
from headgate_admin.cost.workload import events_per_second, make_workload
from headgate_admin.main import make_app
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

if TYPE_CHECKING:
    from pathlib import Path

BOOK = load_book()
THOUSAND = make_workload(events_per_s=1000)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def line(name: str, **changes: Any) -> float:
    return next(
        line.monthly_usd for line in bill(THOUSAND.model_copy(update=changes), BOOK) if line.name.startswith(name)
    )


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(make_app(), ["cost", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_a_figure_says_its_source_or_why_it_is_assumed() -> None:
    for origin in ({}, {"source": "page", "assumption": "because"}):
        with pytest.raises(ValueError, match="either its source or why"):
            Figure(value=1, unit="USD", **origin)
    with pytest.raises(ValueError, match="not listed: nowhere"):
        FigureList(sources={}, figures={"a": Figure(value=1, unit="USD", source="nowhere")})


def test_each_shipped_price_names_its_vendors_page() -> None:
    assert [
        name for name, figure in BOOK.prices.figures.items() if not (figure.page or "").startswith("https://")
    ] == []


def test_tokens_cost_their_number_times_their_price() -> None:
    # 1,000/s for 730 h, 2 % of them decided by 1.238 calls of 1,067 + 36.4 tokens at $0.035 and $0.14 a million
    by_hand = 1000 * 730 * 3600 * 0.02 * 1.238 * (1067 * 0.035 + 36.4 * 0.14) / 1e6
    assert line("Bedrock") == pytest.approx(by_hand)


def test_requests_of_the_table_come_from_its_commits() -> None:
    # 2 writers a second; a sixteenth of the files again for each level of compaction: one round in fifteen commits
    commits = 2 * 730 * 3600
    puts, gets = commits * 16 / 15 * 4, commits * 16 / 15 * 2 + commits / 15 * 16
    assert line("S3 requests") == pytest.approx(puts / 1000 * 0.005 + gets / 1000 * 0.0004)
    assert line("Glue") == pytest.approx(commits * 2 / 1e6)


def test_fixed_is_what_an_idle_pipeline_costs() -> None:
    found = estimate(THOUSAND, BOOK)
    idle = estimate(THOUSAND.model_copy(update={"events_per_s": 0.0}), BOOK)
    assert found.fixed_usd == pytest.approx(idle.monthly_usd)
    assert found.monthly_usd == pytest.approx(sum(line.monthly_usd for line in bill(THOUSAND, BOOK)))
    assert idle.variable_usd == 0


def test_the_enrichers_cpu_is_as_measured_and_on_lines_between() -> None:
    measured = [enricher_us(share, BOOK.measured) for share in (0.0, 0.02, 0.1)]
    assert measured == pytest.approx([69.4, 144.0, 333.8])
    assert enricher_us(0.01, BOOK.measured) == pytest.approx((69.4 + 144.0) / 2)
    assert enricher_us(0.2, BOOK.measured) == pytest.approx(333.8 + 0.1 * (333.8 - 144.0) / 0.08)


@given(rate=st.floats(1, 1e6), more=st.floats(1, 100), share=st.floats(0, 1))
def test_more_events_never_cost_less(rate: float, more: float, share: float) -> None:
    few = make_workload(events_per_s=rate, model_share=share)
    many = few.model_copy(update={"events_per_s": min(rate * more, 1e8)})
    assert estimate(many, BOOK).monthly_usd >= estimate(few, BOOK).monthly_usd
    assert all(entry.variable_usd >= -1e-6 for entry in estimate(few, BOOK).entries)


def test_a_broker_never_gets_more_than_its_disk_takes() -> None:
    for rate in scale.RATES:
        sized = size(scale.chosen(rate, BOOK), BOOK)
        assert sized.kafka_gb / sized.brokers <= 16384
        assert sized.brokers % 3 == 0


def test_spot_lowers_the_price_of_nodes_above_three_alone() -> None:
    assert line("nodes", spot=True) == line("nodes")
    assert line("nodes", events_per_s=1e5, spot=True) < line("nodes", events_per_s=1e5)


def test_every_table_has_as_many_cells_as_columns() -> None:
    sheets = [
        *breakeven.sheets(THOUSAND, BOOK),
        comparison.by_rate(THOUSAND, BOOK),
        comparison.crossings(THOUSAND, BOOK),
        *scale.sheets(BOOK),
        scale.limits(BOOK),
    ]
    assert [s.name for s in sheets if any(len(row) != len(s.columns) for row in s.rows) or not s.rows] == []


def test_each_line_of_each_alternative_has_prices_that_are_listed() -> None:
    known = {*BOOK.prices.figures, *BOOK.prices.models}
    for make in BILLS.values():
        assert {name for line in make(THOUSAND, BOOK) for name in line.prices} <= known


def test_functions_win_where_little_happens_and_lose_where_much_does() -> None:
    few, many = make_workload(events_per_s=10), make_workload(events_per_s=100_000)
    assert min(BILLS, key=lambda name: total(name, few, BOOK)) == "Kinesis + Lambda"
    assert max(BILLS, key=lambda name: total(name, many, BOOK)) == "Kinesis + Lambda"


@pytest.mark.parametrize(
    ("text", "rate"), [("1000", 1000), ("1k/s", 1000), ("60k/min", 1000), ("3.6M/h", 1000), ("8.64M/day", 100)]
)
def test_rates_are_read_as_people_write_them(text: str, rate: float) -> None:
    assert events_per_second(text) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--rate", "0"], "'0' is no rate of events: write 1000/s"),
        (["--rate", "fast"], "'fast' is no rate"),
        (["--share", "1.5"], "model_share: Input should be less than or equal to 1"),
        (["--commit-interval", "0"], "commit_interval_s: Input should be greater than or equal to 0.1"),
        (["--egress", "carrier"], "egress: Input should be 'endpoints' or 'nat'"),
        (["--model", "acme.seer"], "No price for model 'acme.seer'; known: amazon.nova-lite"),
        (["--node", "t3.micro"], "'t3.micro' is no known node"),
        (["--node", "m6g.large"], "No figure 'ec2.m6g.large'; known of this kind: ec2.c7g.2xlarge"),
        (["--broker", "kafka.t3.small"], "known of this kind: broker.kafka.m7g.2xlarge.disk"),
        (["--region", "eu-central-1"], "The prices are of us-east-1: give a list of eu-central-1 with --prices FILE."),
        (["--prices", "none.yaml"], "none.yaml cannot be used"),
    ],
)
def test_wrong_input_is_refused_with_what_to_do(arguments: list[str], reason: str) -> None:
    code, _, errors = run(*arguments)
    assert (code, reason in errors.replace("\n", " ")) == (2, True), errors


def test_the_group_estimates_by_default_and_says_where_prices_are_from() -> None:
    code, told, _ = run("--rate", "1000/s", "--json")
    document = json.loads(told)
    assert code == 0
    assert document["workload"]["events_per_s"] == 1000
    prices = {name: price for line in document["lines"] for name, price in line["prices"].items()}
    assert prices["s3.put"]["page"] == "https://aws.amazon.com/s3/pricing/"
    assert prices["s3.put"]["origin"].endswith("(2024-07-01)")
    assert prices["amazon.nova-micro"]["dated"] == "2026-10-01"
    code, told, _ = run("--sources")
    assert (code, "read in" in told) == (0, True)


@pytest.mark.parametrize("command", ["break-even", "compare", "scale"])
def test_tables_are_told_to_people_and_programs(command: str) -> None:
    code, told, _ = run(command)
    assert (code, "$" in told or "/s" in told) == (0, True)
    code, told, _ = run(command, "--json")
    assert all(sheet["rows"] for sheet in json.loads(told).values())


def test_own_prices_replace_the_shipped_ones(folder: Path) -> None:
    own = json.loads(BOOK.prices.model_dump_json())
    own["region"], own["figures"]["s3.put"]["value"] = "eu-central-1", 0.5
    (folder / "own.yaml").write_text(yaml.safe_dump(own))
    code, told, _ = run("--prices", "own.yaml", "--region", "eu-central-1", "--json")
    assert (code, json.loads(told)["region"]) == (0, "eu-central-1")


def test_figures_of_a_benchmark_of_ones_own_count_instead(folder: Path) -> None:
    bench = folder / "build" / "bench"
    bench.mkdir(parents=True)
    report = {
        "figures": {"rows_per_cpu_s": 50_000, "commit_cpu_ms_at_end": 10},
        "machine": {"cores": 64, "platform": "Linux"},
        "commit": "abc",
        "at": "2026-12-01T00:00:00+00:00",
    }
    (bench / "writer.json").write_text(json.dumps(report))
    book = load_book(bench=bench)
    assert (book.measured.value("cpu.writer"), book.measured.value("cpu.commit")) == (20, 10_000)
    assert book.measured.origin("cpu.writer") == f"{bench}/writer.json at commit abc; 64 cores, Linux (2026-12-01)"
    assert book.measured.value("cpu.producer") == BOOK.measured.value("cpu.producer")
    assert "Measured here, not shipped: cpu.writer, cpu.commit" in run("estimate")[2].replace("\n", " ")
    (bench / "writer.json").write_text("{")
    assert run("estimate")[0] == 2
