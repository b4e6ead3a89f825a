mock_provider "aws" {
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-central-1:123456789012:headgate-alarms" }
  }
}

variables {
  name          = "headgate"
  account_id    = "123456789012"
  kafka_cluster = "headgate"
  model_ids     = ["eu.amazon.nova-lite-v1:0"]
  bucket        = "headgate-lake-123456789012-eu-central-1"
  bucket_metric = "tables"
  alarm_emails  = ["on-call@example.com"]
  key_arn       = "arn:aws:kms:eu-central-1:123456789012:key/telemetry"
}

run "every_broker_is_watched_and_silence_is_an_alarm" {
  command = apply

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.broker) == 6 && alltrue([for alarm in aws_cloudwatch_metric_alarm.broker : alarm.treat_missing_data == "breaching"])
    error_message = "Two alarms for each of three brokers; a broker that reports nothing is down."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.offline_partitions.dimensions == tomap({ "Cluster Name" = "headgate" })
    error_message = "Offline partitions are counted for the cluster."
  }

  assert {
    condition = alltrue([
      for alarm in concat(values(aws_cloudwatch_metric_alarm.broker), values(aws_cloudwatch_metric_alarm.model), [aws_cloudwatch_metric_alarm.store, aws_cloudwatch_metric_alarm.offline_partitions]) :
      alarm.alarm_actions == toset([aws_sns_topic.alarms.arn])
    ])
    error_message = "Every alarm is told to the topic."
  }
}

run "each_model_is_watched_for_throttles_and_errors" {
  command = plan

  assert {
    condition     = keys(aws_cloudwatch_metric_alarm.model) == ["invocationservererrors-eu-amazon-nova-lite-v1-0", "invocationthrottles-eu-amazon-nova-lite-v1-0"]
    error_message = "Two alarms a model."
  }
}

run "the_topic_is_encrypted_and_only_alarms_of_this_account_publish" {
  command = apply

  assert {
    condition     = aws_sns_topic.alarms.kms_master_key_id == var.key_arn
    error_message = "Encrypted with the key."
  }

  assert {
    condition     = jsondecode(aws_sns_topic_policy.alarms.policy).Statement[*].Condition.StringEquals["aws:SourceAccount"] == ["123456789012"]
    error_message = "Services of this account only."
  }
}

run "alarms_without_a_listener_are_refused" {
  command = plan

  variables {
    alarm_emails = []
  }

  expect_failures = [var.alarm_emails]
}
