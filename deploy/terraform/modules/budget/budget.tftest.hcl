mock_provider "aws" {}

variables {
  name                     = "headgate"
  monthly_limit_usd        = 2500
  models_monthly_limit_usd = 500
  tag                      = { key = "stack", value = "headgate" }
  topic_arn                = "arn:aws:sns:eu-central-1:123456789012:headgate-alarms"
}

run "people_hear_of_half_four_fifths_and_all_of_it" {
  command = plan

  assert {
    condition = alltrue([
      for budget in aws_budgets_budget.this :
      toset([for notification in budget.notification : notification.threshold if notification.notification_type == "ACTUAL"]) == toset([50, 80, 100])
    ])
    error_message = "50, 80 and 100 % of what is spent."
  }

  assert {
    condition     = alltrue(flatten([for budget in aws_budgets_budget.this : [for notification in budget.notification : notification.subscriber_sns_topic_arns == toset([var.topic_arn])]]))
    error_message = "Every notification goes to the topic."
  }
}

run "the_stack_is_counted_by_its_tag_and_models_by_the_bill" {
  command = plan

  assert {
    condition     = one(aws_budgets_budget.this["stack"].cost_filter).values == tolist([join("$", ["user:stack", "headgate"])])
    error_message = "AWS writes a tag as user:KEY$VALUE."
  }

  assert {
    condition     = one(aws_budgets_budget.this["models"].cost_filter).values == tolist(["Amazon Bedrock"])
    error_message = "Models are counted by the service."
  }
}

run "a_limit_of_nothing_is_refused" {
  command = plan

  variables {
    monthly_limit_usd        = 0
    models_monthly_limit_usd = -1
  }

  expect_failures = [var.monthly_limit_usd, var.models_monthly_limit_usd]
}
