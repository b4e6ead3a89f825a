# MSK with IAM looks at no Kafka ACL, so the contracts' producers and consumers become IAM policies here.

locals {
  cluster = regex("^(?P<base>arn:[^:]+:kafka:[^:]+:[0-9]+):cluster/(?P<path>.+)$", var.kafka_cluster_arn)
  topic   = "${local.cluster.base}:topic/${local.cluster.path}"
  group   = "${local.cluster.base}:group/${local.cluster.path}"
  id      = "${local.cluster.base}:transactional-id/${local.cluster.path}"

  kafka = {
    for service, topics in var.services : service => concat(
      [
        {
          Sid      = "Connect"
          Effect   = "Allow"
          Action   = concat(["kafka-cluster:Connect", "kafka-cluster:DescribeCluster"], length(topics.produces) > 0 ? ["kafka-cluster:WriteDataIdempotently"] : [])
          Resource = [var.kafka_cluster_arn]
        },
        {
          Sid      = "Describe"
          Effect   = "Allow"
          Action   = ["kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration"]
          Resource = [for name in sort(setunion(topics.produces, topics.consumes)) : "${local.topic}/${name}"]
        },
      ],
      [for names in [topics.produces] : {
        Sid      = "Produce"
        Effect   = "Allow"
        Action   = ["kafka-cluster:WriteData"]
        Resource = [for name in names : "${local.topic}/${name}"]
      } if length(names) > 0],
      [for names in [topics.consumes] : {
        Sid      = "Consume"
        Effect   = "Allow"
        Action   = ["kafka-cluster:ReadData"]
        Resource = [for name in names : "${local.topic}/${name}"]
      } if length(names) > 0],
      [for names in [topics.consumes] : {
        Sid      = "Groups"
        Effect   = "Allow"
        Action   = ["kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"]
        Resource = ["${local.group}/${service}", "${local.group}/${service}-*"]
      } if length(names) > 0],
      # Readers outside of groups name one that they never join.
      [for names in [topics.consumes] : {
        Sid      = "Readers"
        Effect   = "Allow"
        Action   = ["kafka-cluster:DescribeGroup"]
        Resource = ["${local.group}/headgate-*"]
      } if length(names) > 0],
      [for both in [length(topics.produces) > 0 && length(topics.consumes) > 0] : {
        Sid      = "Transactions"
        Effect   = "Allow"
        Action   = ["kafka-cluster:AlterTransactionalId", "kafka-cluster:DescribeTransactionalId"]
        Resource = ["${local.id}/${service}-*"]
      } if both],
    )
  }

  # The command line keeps the contracts' topics, replays into topics of its own, and asks whether states have an owner.
  administration = [
    {
      Sid    = "Administration"
      Effect = "Allow"
      Action = [
        "kafka-cluster:AlterTopic", "kafka-cluster:AlterTopicDynamicConfiguration", "kafka-cluster:CreateTopic",
        "kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration",
      ]
      Resource = [for name in var.topics : "${local.topic}/${name}"]
    },
    {
      Sid      = "Owners"
      Effect   = "Allow"
      Action   = ["kafka-cluster:DescribeGroup"]
      Resource = flatten([for service in sort(keys(var.services)) : ["${local.group}/${service}", "${local.group}/${service}-*"]])
    },
    {
      Sid    = "Replays"
      Effect = "Allow"
      Action = [
        "kafka-cluster:AlterGroup", "kafka-cluster:AlterTransactionalId", "kafka-cluster:CreateTopic", "kafka-cluster:DeleteTopic",
        "kafka-cluster:DescribeGroup", "kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration",
        "kafka-cluster:DescribeTransactionalId", "kafka-cluster:ReadData", "kafka-cluster:WriteData",
      ]
      Resource = ["${local.topic}/replay-*", "${local.group}/replay-*", "${local.id}/replay-*"]
    },
  ]

  # Whatever scales services by their lag reads how far groups are, and no record.
  watch_lag = [
    {
      Sid      = "Connect"
      Effect   = "Allow"
      Action   = ["kafka-cluster:Connect", "kafka-cluster:DescribeCluster"]
      Resource = [var.kafka_cluster_arn]
    },
    {
      Sid      = "Topics"
      Effect   = "Allow"
      Action   = ["kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration"]
      Resource = [for name in var.topics : "${local.topic}/${name}"]
    },
    {
      Sid      = "Groups"
      Effect   = "Allow"
      Action   = ["kafka-cluster:DescribeGroup"]
      Resource = [for service in sort(keys(var.services)) : "${local.group}/${service}"]
    },
  ]
}
