mock_provider "aws" {
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }
  mock_resource "aws_eks_cluster" {
    defaults = { arn = "arn:aws:eks:eu-central-1:123456789012:cluster/headgate" }
  }
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0" }
  }
}

variables {
  name               = "headgate"
  partition          = "aws"
  subnet_ids         = ["subnet-a", "subnet-b", "subnet-c"]
  admin_role_arns    = ["arn:aws:iam::123456789012:role/platform"]
  key_arn            = "arn:aws:kms:eu-central-1:123456789012:key/platform"
  logs_key_arn       = "arn:aws:kms:eu-central-1:123456789012:key/telemetry"
  log_retention_days = 90
}

run "the_api_is_private" {
  command = apply

  assert {
    condition     = one(aws_eks_cluster.this.vpc_config).endpoint_private_access && !one(aws_eks_cluster.this.vpc_config).endpoint_public_access
    error_message = "The API may be reached from the VPC only."
  }
}

run "secrets_are_encrypted_and_everything_is_logged" {
  command = plan

  assert {
    condition     = one(aws_eks_cluster.this.encryption_config).resources == toset(["secrets"]) && one(one(aws_eks_cluster.this.encryption_config).provider).key_arn == var.key_arn
    error_message = "Secrets are encrypted with the key."
  }

  assert {
    condition     = aws_eks_cluster.this.enabled_cluster_log_types == toset(["api", "audit", "authenticator", "controllerManager", "scheduler"])
    error_message = "All logs of the control plane."
  }
}

run "only_named_roles_administer" {
  command = plan

  assert {
    condition     = one(aws_eks_cluster.this.access_config).authentication_mode == "API" && !one(aws_eks_cluster.this.access_config).bootstrap_cluster_creator_admin_permissions
    error_message = "Access goes by entries, and the creator gets none unasked."
  }

  assert {
    condition     = keys(aws_eks_access_entry.admin) == ["arn:aws:iam::123456789012:role/platform"]
    error_message = "The named role and nobody else."
  }
}

run "pods_cannot_ask_for_the_nodes_credentials" {
  command = apply

  assert {
    condition     = aws_launch_template.node.metadata_options[0].http_tokens == "required" && aws_launch_template.node.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "IMDSv2 with one hop."
  }

  assert {
    condition     = aws_launch_template.node.block_device_mappings[0].ebs[0].encrypted == "true"
    error_message = "Nodes' disks are encrypted."
  }
}

run "network_policies_are_enforced" {
  command = plan

  assert {
    condition     = jsondecode(aws_eks_addon.before_nodes["vpc-cni"].configuration_values).enableNetworkPolicy == "true"
    error_message = "Without this the chart's network policies do nothing."
  }
}

run "images_and_nodes_have_one_architecture" {
  command = plan

  variables {
    architecture   = "x86_64"
    instance_types = ["m7i.large"]
  }

  assert {
    condition     = aws_eks_node_group.this.ami_type == "AL2023_x86_64_STANDARD"
    error_message = "The nodes' system is of the architecture named."
  }
}

run "an_api_for_the_whole_internet_is_refused" {
  command = plan

  variables {
    api_public_cidrs = ["0.0.0.0/0"]
  }

  expect_failures = [var.api_public_cidrs]
}

run "a_cluster_nobody_can_reach_is_refused" {
  command = plan

  variables {
    admin_role_arns = []
    nodes           = { min = 1, desired = 1, max = 1 }
  }

  expect_failures = [var.admin_role_arns, var.nodes]
}
