# One role a service, for its Kubernetes service account alone (EKS Pod Identity), with what that service does and no more.

locals {
  # What services write and read is said by the contracts; these have work beside that.
  other = {
    enricher = local.bedrock
    writer   = local.write_tables
    admin    = concat(local.administration, local.make_tables)
    query    = local.read_tables
    scaler   = local.watch_lag
  }

  accounts = merge(
    {
      for service in setunion(keys(var.services), ["admin", "enricher", "query", "writer"]) :
      service => { namespace = var.namespace, name = "${var.release}-${service}" }
    },
    var.scaler == null ? {} : { scaler = { namespace = var.scaler.namespace, name = var.scaler.service_account } },
  )

  statements = {
    for service in keys(local.accounts) : service => concat(lookup(local.kafka, service, []), lookup(local.other, service, []))
  }
}

resource "aws_iam_role" "service" {
  for_each = local.accounts

  name        = "${var.name}-${each.key}"
  description = "Service ${each.key} of ${var.name}, for its pods alone"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = {
        StringEquals = {
          "aws:RequestTag/eks-cluster-name"           = var.cluster_name
          "aws:RequestTag/kubernetes-namespace"       = each.value.namespace
          "aws:RequestTag/kubernetes-service-account" = each.value.name
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
  namespace       = local.accounts[each.key].namespace
  service_account = local.accounts[each.key].name
  role_arn        = each.value.arn
}
