output "topic_arn" {
  description = "ARN of the SNS topic of alarms and budgets; subscribe whatever wakes people."
  value       = aws_sns_topic.alarms.arn
}
