mock_provider "aws" {
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/vpc/headgate" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/headgate-flow-logs" }
  }
}

variables {
  name               = "headgate"
  zones              = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
  account            = { id = "123456789012", region = "eu-central-1", partition = "aws" }
  logs_key_arn       = "arn:aws:kms:eu-central-1:123456789012:key/telemetry"
  log_retention_days = 90
}

run "subnets_are_private_and_in_three_zones" {
  command = apply

  assert {
    condition     = length(distinct(aws_subnet.private[*].availability_zone)) == 3
    error_message = "Brokers and nodes need three zones."
  }

  assert {
    condition     = !anytrue(aws_subnet.private[*].map_public_ip_on_launch)
    error_message = "Nothing may get a public address."
  }

  assert {
    condition     = length(aws_route_table.private.route) == 0
    error_message = "The route table may have no way out but the endpoints."
  }
}

run "the_default_security_group_lets_nothing_through" {
  command = plan

  assert {
    condition     = length(aws_default_security_group.this.ingress) == 0 && length(aws_default_security_group.this.egress) == 0
    error_message = "The default security group may have no rules."
  }
}

run "endpoints_let_only_this_account_through" {
  command = plan

  assert {
    condition = alltrue([
      for endpoint in aws_vpc_endpoint.interface :
      jsondecode(endpoint.policy).Statement[0].Condition.StringEquals["aws:PrincipalAccount"] == "123456789012" && endpoint.private_dns_enabled
    ])
    error_message = "An interface endpoint takes principals of this account only, under the service's own name."
  }

  assert {
    condition     = jsondecode(aws_vpc_endpoint.s3.policy).Statement[1].Resource == "arn:aws:s3:::prod-eu-central-1-starport-layer-bucket/*"
    error_message = "Whoever is not of this account gets nothing of S3 but image layers."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.endpoints.cidr_ipv4 == "10.64.0.0/16" && aws_vpc_security_group_ingress_rule.endpoints.to_port == 443
    error_message = "HTTPS from the VPC only."
  }
}

run "all_traffic_is_logged_and_the_log_encrypted" {
  command = plan

  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL" && aws_cloudwatch_log_group.flow_logs.kms_key_id == var.logs_key_arn
    error_message = "Accepted and rejected traffic is logged, encrypted with the key."
  }
}

run "two_zones_are_refused" {
  command = plan

  variables {
    zones = ["eu-central-1a", "eu-central-1b", "eu-central-1b"]
  }

  expect_failures = [var.zones]
}

run "a_range_too_small_for_pods_is_refused" {
  command = plan

  variables {
    cidr = "10.0.0.0/24"
  }

  expect_failures = [var.cidr]
}

run "an_endpoint_that_is_needed_cannot_be_left_out" {
  command = plan

  variables {
    interface_endpoints = ["sts"]
  }

  expect_failures = [var.interface_endpoints]
}
