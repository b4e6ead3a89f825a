# MSK with IAM looks at no Kafka ACL, so the contracts' producers and consumers become IAM policies here.

locals {
  cluster = regex("^(?P<base>arn:[^:]+:kafka:[^:]+:[0-9]+):cluster/(?P<path>.+)$", var.kafka_cluster_arn)
  topic   = "${local.cluster.base}:topic/${local.cluster.path}"
  group   = "${local.cluster.base}:group/${local.cluster.path}"

  # A transactional id is the group and the pod's name; putting dead letters back has one for each topic.
  transactional = {
    enricher  = "enricher-*"
    reviews   = "reviews-*"
    processor = "processor-*"
    admin     = "headgate-dlq-replay-*"
  }

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
      # The last two are of reads that join no group: the protocol wants a name all the same.
      [for names in [topics.consumes] : {
        Sid      = "Groups"
        Effect   = "Allow"
        Action   = ["kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"]
        Resource = [for name in [service, "${service}-*", "headgate-read-*", "headgate-tail-*"] : "${local.group}/${name}"]
      } if length(names) > 0],
      [for id in [lookup(local.transactional, service, null)] : {
        Sid      = "Transactions"
        Effect   = "Allow"
        Action   = ["kafka-cluster:AlterTransactionalId", "kafka-cluster:DescribeTransactionalId"]
        Resource = ["${local.cluster.base}:transactional-id/${local.cluster.path}/${id}"]
      } if id != null],
    )
  }

  manage_topics = [{
    Sid    = "ManageTopics"
    Effect = "Allow"
    Action = [
      "kafka-cluster:AlterTopic", "kafka-cluster:AlterTopicDynamicConfiguration", "kafka-cluster:CreateTopic",
      "kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration",
    ]
    Resource = [for name in var.topics : "${local.topic}/${name}"]
  }]

  # The chart's registry keeps schemas in topics of its own and makes them itself.
  registry_storage = [
    {
      Sid      = "Connect"
      Effect   = "Allow"
      Action   = ["kafka-cluster:Connect", "kafka-cluster:DescribeCluster", "kafka-cluster:WriteDataIdempotently"]
      Resource = [var.kafka_cluster_arn]
    },
    {
      Sid    = "Storage"
      Effect = "Allow"
      Action = [
        "kafka-cluster:CreateTopic", "kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration",
        "kafka-cluster:ReadData", "kafka-cluster:WriteData",
      ]
      Resource = ["${local.topic}/kafkasql-*", "${local.topic}/registry-events"]
    },
    {
      Sid      = "Groups"
      Effect   = "Allow"
      Action   = ["kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"]
      Resource = ["${local.group}/apicurio-*"]
    },
  ]
}
