"""What is wrong with an account that Terraform was applied to, as AWS' own interfaces tell it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import jsonschema
from botocore.exceptions import ClientError
from headgate_admin.topics.acls import wanted_rules
from headgate_schemas import Contracts

from tests.deploy.aws.mocked import BROKERS, REGION
from tests.deploy.tools import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.deploy.aws.mocked import Account

BUCKET: Final = f"headgate-lake-123456789012-{REGION}"
# Kafka's operations as MSK calls them; what a cluster's rules allow has no counterpart but Connect.
ACTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "topic": {
        "ALTER": "AlterTopic",
        "ALTER_CONFIGS": "AlterTopicDynamicConfiguration",
        "CREATE": "CreateTopic",
        "DELETE": "DeleteTopic",
        "DESCRIBE": "DescribeTopic",
        "DESCRIBE_CONFIGS": "DescribeTopicDynamicConfiguration",
        "READ": "ReadData",
        "WRITE": "WriteData",
    },
    "group": {"DESCRIBE": "DescribeGroup", "READ": "AlterGroup"},
    "transactional_id": {"DESCRIBE": "DescribeTransactionalId", "WRITE": "AlterTransactionalId"},
}
KEYS: Final = ("lake", "platform", "stream", "telemetry")


def findings(account: Account) -> list[str]:
    """What is wrong, one text each."""
    looks = (_bucket, _catalog, _images, _keys, _network, _telemetry, _roles)
    return [problem for look in looks for problem in look(account)]


def refused_values(values: Any) -> list[str]:
    """What the chart would refuse of values, one text each."""
    schema = json.loads((ROOT / "helm" / "headgate" / "values.schema.json").read_text(encoding="utf-8"))
    problems = jsonschema.validators.validator_for(schema)(schema).iter_errors(values)
    return [f"the chart refuses {'.'.join(map(str, each.absolute_path))}: {each.message}" for each in problems]


def leftovers(account: Account) -> list[str]:
    """What is still there after all was destroyed; keys are, for the month in which they can be brought back."""
    left = [bucket["Name"] for bucket in account.client("s3").list_buckets()["Buckets"]]
    left += [each["repositoryName"] for each in account.client("ecr").describe_repositories()["repositories"]]
    left += [each["RoleName"] for each in account.client("iam").list_roles()["Roles"]]
    for key in account.client("kms").list_keys()["Keys"]:
        state = account.client("kms").describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"]
        left += [] if state == "PendingDeletion" else [f"key {key['KeyId']}: {state}"]
    return left


def _bucket(account: Account) -> Iterator[str]:
    s3 = account.client("s3")
    if not all(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values()):
        yield "the bucket may be made public"
    (rule,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    if rule["ApplyServerSideEncryptionByDefault"] != {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": _key(account, "lake"),
    }:
        yield f"the bucket is not encrypted with the lake's key: {rule}"
    if s3.get_bucket_versioning(Bucket=BUCKET).get("Status") != "Enabled":
        yield "the bucket keeps no versions"
    (lifecycle,) = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    if "Days" in lifecycle["Expiration"] or lifecycle["NoncurrentVersionExpiration"] != {"NoncurrentDays": 30}:
        yield f"files of tables expire, or their versions do not: {lifecycle}"
    statements = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
    if {each["Effect"] for each in statements} != {"Deny"}:
        yield "the bucket's policy allows somebody something"
    if not any(each.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}} for each in statements):
        yield "the bucket takes requests without TLS"
    if {"Key": "stack", "Value": "headgate"} not in s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"]:
        yield "the bucket has no tag for the budget"


def _catalog(account: Account) -> Iterator[str]:
    wanted = {str(topic.table.name).split(".")[0] for topic in Contracts.load().topics.values() if topic.table}
    found = {each["Name"]: each.get("LocationUri") for each in account.client("glue").get_databases()["DatabaseList"]}
    if found != {name: f"s3://{BUCKET}/tables/{name}" for name in wanted}:
        yield f"databases are {found}, and the contracts want {wanted} in the bucket"


def _images(account: Account) -> Iterator[str]:
    for each in account.client("ecr").describe_repositories()["repositories"]:
        if each["imageTagMutability"] != "IMMUTABLE" or not each["imageScanningConfiguration"]["scanOnPush"]:
            yield f"{each['repositoryName']}: tags can be moved, or pushes are not scanned"
        if each["encryptionConfiguration"] != {"encryptionType": "KMS", "kmsKey": _key(account, "platform")}:
            yield f"{each['repositoryName']} is not encrypted with the platform's key"


def _keys(account: Account) -> Iterator[str]:
    kms = account.client("kms")
    for name in KEYS:
        if not kms.get_key_rotation_status(KeyId=_key(account, name))["KeyRotationEnabled"]:
            yield f"the key {name} does not rotate"


def _network(account: Account) -> Iterator[str]:
    ec2 = account.client("ec2")
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "tag:stack", "Values": ["headgate"]}])["Vpcs"]
    ours = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    if ec2.describe_internet_gateways(Filters=[{"Name": "attachment.vpc-id", "Values": [vpc["VpcId"]]}])[
        "InternetGateways"
    ]:
        yield "the VPC has an internet gateway"
    subnets = ec2.describe_subnets(Filters=ours)["Subnets"]
    if len({each["AvailabilityZone"] for each in subnets}) != 3 or any(each["MapPublicIpOnLaunch"] for each in subnets):
        yield "the subnets are not private and in three zones"
    for group in ec2.describe_security_groups(Filters=ours)["SecurityGroups"]:
        sources = [each["CidrIp"] for rule in group["IpPermissions"] for each in rule["IpRanges"]]
        if set(sources) - {vpc["CidrBlock"]}:
            yield f"{group['GroupName']} lets in {sources}"
        if group["GroupName"] == "default" and (group["IpPermissions"] or group["IpPermissionsEgress"]):
            yield "the default security group has rules"


def _telemetry(account: Account) -> Iterator[str]:
    telemetry = _key(account, "telemetry")
    for group in account.client("logs").describe_log_groups()["logGroups"]:
        if group.get("kmsKeyId") != telemetry or group.get("retentionInDays") != 365:
            yield f"{group['logGroupName']} is not encrypted or kept for a year"
    sns = account.client("sns")
    (topic,) = [each["TopicArn"] for each in sns.list_topics()["Topics"]]
    if sns.get_topic_attributes(TopicArn=topic)["Attributes"].get("KmsMasterKeyId") != telemetry:
        yield "alarms are not encrypted"


def _roles(account: Account) -> Iterator[str]:
    """Each service's policy allows on Kafka just what the access rules from the contracts do, and the enricher alone asks models."""
    rules = wanted_rules(list(Contracts.load().topics.values()), "{service}")
    for service in sorted({rule.principal for rule in rules}):
        statements = _policy(account, service)
        wanted = {
            (
                ACTIONS[rule.resource][rule.operation],
                f"{_kind(rule.resource)}/{rule.name}{'*' * (rule.pattern == 'prefixed')}",
            )
            for rule in rules
            if rule.principal == service and rule.resource in ACTIONS
        }
        found = set(_kafka_rights(statements))
        if found != wanted:
            yield f"{service}: too much {sorted(found - wanted)}, too little {sorted(wanted - found)}"
        asks = {arn for each in statements if "bedrock:InvokeModel" in each["Action"] for arn in each["Resource"]}
        if (service == "enricher") != bool(asks) or any(not arn.endswith("nova-micro-v1:0") for arn in asks):
            yield f"{service} may ask {asks}"


def _kafka_rights(statements: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Each action with what it is allowed on, ``topic/raw-events``; an action on what it has no meaning for is none."""
    of = {(_kind(resource), action) for resource, actions in ACTIONS.items() for action in actions.values()}
    cluster = BROKERS.partition(":cluster/")[2]
    for each in statements:
        for arn in each["Resource"]:
            kind, _, name = arn.rpartition(":")[2].partition(f"/{cluster}/")
            for action in each["Action"]:
                if (kind, action.removeprefix("kafka-cluster:")) in of:
                    yield action.removeprefix("kafka-cluster:"), f"{kind}/{name}"


def _kind(resource: str) -> str:
    return resource.replace("_", "-")


def _policy(account: Account, service: str) -> list[dict[str, Any]]:
    try:
        answer = account.client("iam").get_role_policy(RoleName=f"headgate-{service}", PolicyName="service")
    except ClientError:
        return []
    statements: list[dict[str, Any]] = answer["PolicyDocument"]["Statement"]
    return statements


def _key(account: Account, name: str) -> str:
    return str(account.client("kms").describe_key(KeyId=f"alias/headgate-{name}")["KeyMetadata"]["Arn"])
