mock_provider "aws" {}

variables {
  name        = "headgate-telemetry"
  description = "Logs and alarms."
  account     = { id = "123456789012", region = "eu-central-1", partition = "aws" }
}

run "it_rotates" {
  command = plan

  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.deletion_window_in_days == 30
    error_message = "The key has to rotate, and to be recoverable for 30 days."
  }
}

run "without_services_only_the_account_has_it" {
  command = plan

  assert {
    condition     = jsondecode(aws_kms_key.this.policy).Statement[*].Principal == [{ AWS = "arn:aws:iam::123456789012:root" }]
    error_message = "Nobody but the account may be named."
  }
}

run "services_use_it_for_this_account_alone" {
  command = plan

  variables {
    services = ["budgets.amazonaws.com"]
    logs     = true
  }

  assert {
    condition     = jsondecode(aws_kms_key.this.policy).Statement[1].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "A service may use the key for resources of this account only."
  }

  assert {
    condition     = endswith(jsondecode(aws_kms_key.this.policy).Statement[2].Condition.ArnLike["kms:EncryptionContext:aws:logs:arn"], ":eu-central-1:123456789012:log-group:*")
    error_message = "Log groups of this account and region only."
  }

  assert {
    condition     = !anytrue([for statement in slice(jsondecode(aws_kms_key.this.policy).Statement, 1, 3) : contains(statement.Action, "kms:*")])
    error_message = "Services use the key, they do not administer it."
  }
}

run "what_is_no_service_is_refused" {
  command = plan

  variables {
    services = ["*"]
  }

  expect_failures = [var.services]
}
