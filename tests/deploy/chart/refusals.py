"""Values the chart must refuse: a typo that is let through is a setting without effect, found in an incident."""

from __future__ import annotations

from tests.deploy.chart.rendering import VALUES, render
from tests.deploy.tools import ToolError

# what is set, and what the refusal has to name
REFUSED = {
    'kafka.bootstrapServer="kafka:9092"': "bootstrapServer",
    'kafka.bootstrapServers="kafka"': "bootstrapServers",
    'kafka.security="sasl"': "security",
    'kafka.security="scram"': "username",
    'kafka.properties={"sasl.password":"x"}': "sasl.password",
    "enricher.replica=2": "replica",
    "enricher.replicas=-1": "replicas",
    'enricher.models={"secondary":"m"}': "secondary",
    'enricher.budget=[{"scope":"agent","window":"day"}]': "cost_microdollars",
    'enricher.budget=[{"scope":"agent","window":"week","tokens":1}]': "window",
    'enricher.canary={"agnt":"a"}': "agnt",
    'writer.env={"A":1}': "/writer/env",
    'writer.piiKey={"value":"x"}': "value",
    'catalog={"credential":"id:secret"}': "credential",
    'catalog={"s3.secret-access-key":"x"}': "s3.secret-access-key",
    "catalog=null": "catalog is empty",
    'contracts={"avro":"a"}': "/contracts",
    'defaults.nodeSelectr={"a":"b"}': "nodeSelectr",
    'defaults.resources={"limits":{"memroy":"1Gi"}}': "memroy",
    "registry.bundled.enabld=true": "enabld",
    'registry.url=""': "registry.url is empty",
    'producer.image={"digest":"latest"}': "digest",
    'serviceAccounts.wrtier={"annotations":{}}': "wrtier",
    "networkPolicy.egress.kafak=[]": "kafak",
    'http.oidc.issuer="http://issuer.example"': "issuer",
    'http.oidc.issuer="https://issuer.example"': "audience",
    'global={"aws":{"regoin":"eu-central-1"}}': "regoin",
    "monitoring.enabled=true": "monitoring",
}


def problems() -> list[str]:
    """Which of them are let through, or refused without naming what is wrong."""
    found = []
    for setting, named in REFUSED.items():
        try:
            render(VALUES["default"], setting)
        except ToolError as error:
            if named not in str(error):
                found.append(f"{setting} is refused, and the text does not name {named}: {error}")
        else:
            found.append(f"{setting} is let through")
    return found
