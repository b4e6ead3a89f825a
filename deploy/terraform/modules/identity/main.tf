# One role a service, for its Kubernetes service account alone (EKS Pod Identity), with what that service does and no more.

locals {
  # What services write and read is said by the contracts; these have work beside that.
  other = {
    enricher = local.bedrock
    writer   = local.write_tables
    admin    = concat(local.manage_topics, local.make_tables)
    query    = local.read_tables
    registry = local.registry_storage
  }

  services = setunion(keys(var.services), [for service in keys(local.other) : service if service != "registry" || var.bundled_registry])

  statements = {
    for service in local.services : service => concat(lookup(local.kafka, service, []), lookup(local.other, service, []))
  }
}

resource "aws_iam_role" "service" {
  for_each = local.services

  name        = "${var.name}-${each.value}"
  description = "Service ${each.value} of ${var.name}, for its pods alone"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = {
        StringEquals = {
          "aws:RequestTag/eks-cluster-name"           = var.cluster_name
          "aws:RequestTag/kubernetes-namespace"       = var.namespace
          "aws:RequestTag/kubernetes-service-account" = "${var.release}-${each.value}"
        }
      }
    }]
  })
}

resource "aws_iam_role_policy" "service" {
  for_each = aws_iam_role.service

  name   = "service"
  role   = each.value.id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.statements[each.key] })

  lifecycle {
    precondition {
      condition     = length(jsonencode(local.statements[each.key])) < 10000
      error_message = "The policy of ${each.key} outgrows the 10,240 characters IAM takes: split the service, or give it a prefix of topics."
    }
  }
}

resource "aws_eks_pod_identity_association" "service" {
  for_each = aws_iam_role.service

  cluster_name    = var.cluster_name
  namespace       = var.namespace
  service_account = "${var.release}-${each.key}"
  role_arn        = each.value.arn
}
