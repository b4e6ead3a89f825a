# A customer managed key. The account administers it; what else may use it is said by each role's own policy, and for
# services that call on nobody's behalf, here.

locals {
  root = "arn:${var.account.partition}:iam::${var.account.id}:root"
  use  = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]

  administer = {
    Sid       = "AccountAdministers"
    Effect    = "Allow"
    Principal = { AWS = local.root }
    Action    = "kms:*"
    Resource  = "*"
  }

  services = {
    Sid       = "ServicesOfThisAccountUse"
    Effect    = "Allow"
    Principal = { Service = sort(var.services) }
    Action    = local.use
    Resource  = "*"
    Condition = { StringEquals = { "aws:SourceAccount" = var.account.id } }
  }

  logs = {
    Sid       = "LogGroupsOfThisAccountUse"
    Effect    = "Allow"
    Principal = { Service = "logs.${var.account.region}.amazonaws.com" }
    Action    = local.use
    Resource  = "*"
    Condition = {
      ArnLike = {
        "kms:EncryptionContext:aws:logs:arn" = "arn:${var.account.partition}:logs:${var.account.region}:${var.account.id}:log-group:*"
      }
    }
  }
}

resource "aws_kms_key" "this" {
  #checkov:skip=CKV2_AWS_64:there is a policy below, which checkov does not work out
  description             = var.description
  enable_key_rotation     = true
  deletion_window_in_days = 30

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [local.administer],
      [for statement in [local.services] : statement if length(var.services) > 0],
      [for statement in [local.logs] : statement if var.logs],
    )
  })
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}
