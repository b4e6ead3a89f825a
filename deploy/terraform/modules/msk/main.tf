# Three brokers in three zones that speak TLS with IAM and nothing else, inside the VPC and nowhere else. Users with a password
# come in by a port of their own, where there are any.

resource "aws_msk_cluster" "this" {
  cluster_name           = var.name
  kafka_version          = var.kafka_version
  number_of_broker_nodes = 3
  enhanced_monitoring    = "PER_BROKER"

  broker_node_group_info {
    instance_type   = var.instance_type
    client_subnets  = var.subnet_ids
    security_groups = [aws_security_group.brokers.id]

    connectivity_info {
      public_access {
        type = "DISABLED"
      }
    }

    storage_info {
      ebs_storage_info {
        volume_size = var.storage_gib
      }
    }
  }

  configuration_info {
    arn      = aws_msk_configuration.this.arn
    revision = aws_msk_configuration.this.latest_revision
  }

  client_authentication {
    unauthenticated = false

    sasl {
      iam   = true
      scram = length(var.scram_secret_arns) > 0
    }
  }

  encryption_info {
    encryption_at_rest_kms_key_arn = var.key_arn

    encryption_in_transit {
      client_broker = "TLS"
      in_cluster    = true
    }
  }

  logging_info {
    broker_logs {
      cloudwatch_logs {
        enabled   = true
        log_group = aws_cloudwatch_log_group.brokers.name
      }
    }
  }

  lifecycle {
    # Autoscaling grows the volumes; they cannot shrink.
    ignore_changes = [broker_node_group_info[0].storage_info[0].ebs_storage_info[0].volume_size]
  }
}

resource "aws_msk_configuration" "this" {
  name           = var.name
  kafka_versions = [var.kafka_version]

  # Services ask for transactions of 60 s. A client that asks for more than two minutes is refused: readers wait for open ones.
  # Kafka's own rules hold for users with a password alone, and let nobody do anything unless they say so.
  server_properties = join("\n", [for name, value in {
    "allow.everyone.if.no.acl.found"           = false
    "auto.create.topics.enable"                = false
    "default.replication.factor"               = 3
    "min.insync.replicas"                      = 2
    "offsets.topic.replication.factor"         = 3
    "transaction.state.log.replication.factor" = 3
    "transaction.state.log.min.isr"            = 2
    "transaction.max.timeout.ms"               = 120000
    "unclean.leader.election.enable"           = false
  } : "${name}=${value}"])

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_security_group" "brokers" {
  name        = "${var.name}-brokers"
  description = "Kafka with IAM from the cluster's pods to the brokers"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  security_group_id            = aws_security_group.brokers.id
  description                  = "Kafka over TLS with IAM"
  referenced_security_group_id = var.client_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 9098
  to_port                      = 9098
}

resource "aws_vpc_security_group_ingress_rule" "users" {
  count = length(var.scram_secret_arns) > 0 ? 1 : 0

  security_group_id            = aws_security_group.brokers.id
  description                  = "Kafka over TLS with SCRAM"
  referenced_security_group_id = var.client_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 9096
  to_port                      = 9096
}

resource "aws_msk_single_scram_secret_association" "user" {
  for_each = var.scram_secret_arns

  cluster_arn = aws_msk_cluster.this.arn
  secret_arn  = each.value
}

resource "aws_cloudwatch_log_group" "brokers" {
  name              = "/aws/msk/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.logs_key_arn
}

resource "aws_appautoscaling_target" "storage" {
  count = var.storage_max_gib > var.storage_gib ? 1 : 0

  service_namespace  = "kafka"
  scalable_dimension = "kafka:broker-storage:VolumeSize"
  resource_id        = aws_msk_cluster.this.arn
  min_capacity       = 1
  max_capacity       = var.storage_max_gib
}

resource "aws_appautoscaling_policy" "storage" {
  count = length(aws_appautoscaling_target.storage)

  name               = "${var.name}-storage"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = "kafka"
  scalable_dimension = "kafka:broker-storage:VolumeSize"
  resource_id        = aws_msk_cluster.this.arn

  target_tracking_scaling_policy_configuration {
    disable_scale_in = true
    target_value     = 60

    predefined_metric_specification {
      predefined_metric_type = "KafkaBrokerStorageUtilization"
    }
  }

  depends_on = [aws_appautoscaling_target.storage]
}
