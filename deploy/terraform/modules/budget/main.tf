# What the stack and its models may cost a month. Mails and an SNS topic, no brake: the brake on models is the enricher's own
# budget, which holds before the money is spent.

locals {
  # The second is counted by AWS' names of the services, since model calls carry no tag.
  budgets = {
    stack = {
      limit  = var.monthly_limit_usd
      filter = { name = "TagKeyValue", values = [join("$", ["user:${var.tag.key}", var.tag.value])] }
    }
    models = {
      limit  = var.models_monthly_limit_usd
      filter = { name = "Service", values = var.model_services }
    }
  }
}

resource "aws_budgets_budget" "this" {
  for_each = local.budgets

  name         = "${var.name}-${each.key}"
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_amount = tostring(each.value.limit)
  limit_unit   = "USD"

  cost_filter {
    name   = each.value.filter.name
    values = each.value.filter.values
  }

  dynamic "notification" {
    for_each = [50, 80, 100]

    content {
      notification_type         = "ACTUAL"
      comparison_operator       = "GREATER_THAN"
      threshold                 = notification.value
      threshold_type            = "PERCENTAGE"
      subscriber_sns_topic_arns = [var.topic_arn]
    }
  }

  notification {
    notification_type         = "FORECASTED"
    comparison_operator       = "GREATER_THAN"
    threshold                 = 100
    threshold_type            = "PERCENTAGE"
    subscriber_sns_topic_arns = [var.topic_arn]
  }
}
