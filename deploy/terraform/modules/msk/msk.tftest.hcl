mock_provider "aws" {
  mock_resource "aws_msk_cluster" {
    defaults = { arn = "arn:aws:kafka:eu-central-1:123456789012:cluster/headgate/0a1b2c3d-4e5f-6789-abcd-ef0123456789-5" }
  }
  mock_resource "aws_msk_configuration" {
    defaults = { arn = "arn:aws:kafka:eu-central-1:123456789012:configuration/headgate/0a1b2c3d-4e5f-6789-abcd-ef0123456789-5", latest_revision = 1 }
  }
}

variables {
  name                     = "headgate"
  vpc_id                   = "vpc-0"
  subnet_ids               = ["subnet-a", "subnet-b", "subnet-c"]
  client_security_group_id = "sg-nodes"
  key_arn                  = "arn:aws:kms:eu-central-1:123456789012:key/stream"
  logs_key_arn             = "arn:aws:kms:eu-central-1:123456789012:key/telemetry"
  log_retention_days       = 90
}

run "clients_come_by_iam_over_tls_and_not_from_the_internet" {
  command = apply

  assert {
    condition     = one(aws_msk_cluster.this.client_authentication).unauthenticated == false && one(one(aws_msk_cluster.this.client_authentication).sasl).iam && !one(one(aws_msk_cluster.this.client_authentication).sasl).scram
    error_message = "IAM is the only way in."
  }

  assert {
    condition     = one(one(one(aws_msk_cluster.this.broker_node_group_info).connectivity_info).public_access).type == "DISABLED"
    error_message = "The brokers may have no public address."
  }

  assert {
    condition     = one(one(aws_msk_cluster.this.encryption_info).encryption_in_transit).client_broker == "TLS" && one(one(aws_msk_cluster.this.encryption_info).encryption_in_transit).in_cluster
    error_message = "TLS everywhere."
  }

  assert {
    condition     = one(aws_msk_cluster.this.encryption_info).encryption_at_rest_kms_key_arn == var.key_arn
    error_message = "The volumes are encrypted with the key."
  }
}

run "only_the_port_for_iam_is_open_and_only_to_the_cluster" {
  command = plan

  assert {
    condition     = aws_vpc_security_group_ingress_rule.clients.from_port == 9098 && aws_vpc_security_group_ingress_rule.clients.to_port == 9098 && aws_vpc_security_group_ingress_rule.clients.referenced_security_group_id == "sg-nodes" && length(aws_vpc_security_group_ingress_rule.users) == 0
    error_message = "Port 9098 for the EKS cluster alone."
  }
}

run "users_with_a_password_come_in_by_their_own_port_and_may_nothing_by_default" {
  command = plan

  variables {
    scram_secret_arns = ["arn:aws:secretsmanager:eu-central-1:123456789012:secret:AmazonMSK_headgate_registry-a1b2c3"]
  }

  assert {
    condition     = one(one(aws_msk_cluster.this.client_authentication).sasl).scram && aws_vpc_security_group_ingress_rule.users[0].to_port == 9096
    error_message = "SCRAM on 9096."
  }

  assert {
    condition     = contains(split("\n", aws_msk_configuration.this.server_properties), "allow.everyone.if.no.acl.found=false")
    error_message = "Without an access rule a user may do nothing."
  }
}

run "a_secret_msk_would_not_take_is_refused" {
  command = plan

  variables {
    scram_secret_arns = ["arn:aws:secretsmanager:eu-central-1:123456789012:secret:registry-a1b2c3"]
  }

  expect_failures = [var.scram_secret_arns]
}

run "a_broker_may_die_without_loss" {
  command = plan

  assert {
    condition = alltrue([for line in [
      "auto.create.topics.enable=false",
      "default.replication.factor=3",
      "min.insync.replicas=2",
      "transaction.state.log.replication.factor=3",
      "transaction.state.log.min.isr=2",
      "unclean.leader.election.enable=false",
    ] : contains(split("\n", aws_msk_configuration.this.server_properties), line)])
    error_message = "Replication 3, two in sync, no unclean leaders, no topics by accident."
  }

  assert {
    condition     = aws_msk_cluster.this.number_of_broker_nodes == 3
    error_message = "Three brokers."
  }
}

run "volumes_grow_and_never_shrink" {
  command = apply

  assert {
    condition     = aws_appautoscaling_target.storage[0].max_capacity == 1000 && one(aws_appautoscaling_policy.storage[0].target_tracking_scaling_policy_configuration).disable_scale_in
    error_message = "Storage grows up to the maximum and is not scaled in."
  }
}

run "volumes_that_may_not_grow_have_no_scaling" {
  command = plan

  variables {
    storage_max_gib = 100
  }

  assert {
    condition     = length(aws_appautoscaling_target.storage) == 0
    error_message = "A maximum of the initial size means no scaling."
  }
}

run "zookeeper_and_bursting_brokers_are_refused" {
  command = plan

  variables {
    kafka_version = "3.7.x"
    instance_type = "kafka.t3.small"
    subnet_ids    = ["subnet-a", "subnet-b"]
  }

  expect_failures = [var.kafka_version, var.instance_type, var.subnet_ids]
}
