# Alarms of what AWS runs: brokers, models, object store. What the services measure themselves is Prometheus' to watch.

locals {
  brokers = toset(["1", "2", "3"])

  # What is wrong as soon as it is above the threshold, for so many minutes in a row.
  broker_alarms = {
    under-replicated = {
      metric      = "UnderReplicatedPartitions", threshold = 0, minutes = 10
      description = "Partitions of the broker lack a replica: one more loss stops writes, since two in sync are needed."
    }
    disk = {
      metric      = "KafkaDataLogsDiskUsed", threshold = 85, minutes = 10
      description = "The broker's disk is fuller than 85 %: storage has not grown, or is at its maximum. A full broker stops."
    }
  }

  per_broker = {
    for pair in setproduct(keys(local.broker_alarms), local.brokers) :
    "${pair[0]}-broker-${pair[1]}" => merge(local.broker_alarms[pair[0]], { broker = pair[1] })
  }
}

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = var.key_arn
}

resource "aws_sns_topic_policy" "alarms" {
  arn = aws_sns_topic.alarms.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AlarmsAndBudgetsOfThisAccount"
      Effect    = "Allow"
      Principal = { Service = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"] }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.alarms.arn
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  })
}

resource "aws_sns_topic_subscription" "email" {
  for_each = var.alarm_emails

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_cloudwatch_metric_alarm" "broker" {
  for_each = local.per_broker

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = "AWS/Kafka"
  metric_name         = each.value.metric
  dimensions          = { "Cluster Name" = var.kafka_cluster, "Broker ID" = each.value.broker }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = each.value.minutes
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "offline_partitions" {
  alarm_name          = "${var.name}-offline-partitions"
  alarm_description   = "Partitions have no leader: events of their keys are neither taken nor decided."
  namespace           = "AWS/Kafka"
  metric_name         = "OfflinePartitionsCount"
  dimensions          = { "Cluster Name" = var.kafka_cluster }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 2
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "model" {
  for_each = {
    for pair in setproduct(["InvocationThrottles", "InvocationServerErrors"], var.model_ids) :
    "${lower(pair[0])}-${replace(pair[1], "/[^a-z0-9]+/", "-")}" => { metric = pair[0], model = pair[1] }
  }

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "The model is throttled or fails: grey events are decided by the agent's fallback meanwhile."
  namespace           = "AWS/Bedrock"
  metric_name         = each.value.metric
  dimensions          = { ModelId = each.value.model }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.model_failures_per_minute
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "store" {
  alarm_name          = "${var.name}-store-errors"
  alarm_description   = "S3 answers requests for tables with errors of its own: commits are repeated, and stall where it lasts."
  namespace           = "AWS/S3"
  metric_name         = "5xxErrors"
  dimensions          = { BucketName = var.bucket, FilterId = var.bucket_metric }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = 5
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}
