mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:123456789012:key/mock" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:mock" }
  }
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0" }
  }
  mock_resource "aws_eks_cluster" {
    defaults = { arn = "arn:aws:eks:eu-central-1:123456789012:cluster/headgate" }
  }
  mock_resource "aws_msk_cluster" {
    defaults = {
      arn                        = "arn:aws:kafka:eu-central-1:123456789012:cluster/headgate/0a1b2c3d-5"
      bootstrap_brokers_sasl_iam = "b-1.example:9098,b-2.example:9098,b-3.example:9098"
    }
  }
  mock_resource "aws_msk_configuration" {
    defaults = { arn = "arn:aws:kafka:eu-central-1:123456789012:configuration/headgate/0a1b2c3d-5", latest_revision = 1 }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-central-1:123456789012:headgate-alarms" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::headgate-lake-123456789012-eu-central-1" }
  }
  mock_resource "aws_ecr_repository" {
    defaults = { repository_url = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/mock" }
  }
}

variables {
  region                   = "eu-central-1"
  zones                    = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
  kubernetes               = { admin_role_arns = ["arn:aws:iam::123456789012:role/platform"] }
  models                   = [{ id = "eu.amazon.nova-micro-v1:0" }]
  alarm_emails             = ["on-call@example.com"]
  monthly_limit_usd        = 2500
  models_monthly_limit_usd = 500
}

run "the_chart_is_told_where_everything_is" {
  command = apply

  assert {
    condition     = yamldecode(output.helm_values).kafka == { bootstrapServers = "b-1.example:9098,b-2.example:9098,b-3.example:9098", security = "iam" }
    error_message = "The brokers, and that IAM is the way in."
  }

  assert {
    condition     = yamldecode(output.helm_values).catalog["uri"] == "https://glue.eu-central-1.amazonaws.com/iceberg" && yamldecode(output.helm_values).catalog["warehouse"] == "123456789012" && yamldecode(output.helm_values).catalog["rest.sigv4-enabled"] == "true"
    error_message = "Glue's Iceberg REST catalog, signed."
  }

  assert {
    condition     = yamldecode(output.helm_values).catalog["headgate.location"] == "s3://headgate-lake-123456789012-eu-central-1/tables"
    error_message = "Tables go below the prefix that the roles are given."
  }

  assert {
    condition     = yamldecode(output.helm_values).image.registry == "123456789012.dkr.ecr.eu-central-1.amazonaws.com" && can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+", yamldecode(output.helm_values).image.tag))
    error_message = "Images of the project's version, from ECR."
  }
}

run "every_service_of_the_contracts_has_the_service_account_of_the_chart" {
  command = apply

  assert {
    condition = length(setsubtract(
      ["headgate-producer", "headgate-enricher", "headgate-reviews", "headgate-processor", "headgate-writer", "headgate-admin", "headgate-query"],
      [for account in output.service_accounts : account.name],
    )) == 0
    error_message = "A service without a role reaches neither brokers nor tables."
  }
}

run "lake_formation_is_left_alone_unless_asked_for" {
  command = plan

  assert {
    condition     = length(module.governance) == 0
    error_message = "Only an administrator of Lake Formation can apply it."
  }
}

run "readers_are_held_to_classes_of_columns" {
  command = plan

  variables {
    lake_formation = { readers = { "arn:aws:iam::123456789012:role/analyst" = ["none"] }, tables_exist = true }
  }

  assert {
    condition     = length(module.governance) == 1
    error_message = "The readers' permissions are made."
  }
}

run "a_name_too_long_for_a_bucket_is_refused" {
  command = plan

  variables {
    name = "headgate-of-the-department-of-payments"
  }

  expect_failures = [var.name]
}
