# Who reads which columns, by Lake Formation tags. Services go on by their roles (hybrid access); only the readers named here
# are held to the tags. The account's Lake Formation administrator has to apply it.

locals {
  tag = "${var.name}-pii"

  # What the writer adds to each row: where it came from, and when it was stored.
  own_columns = ["_ingested_at", "_kafka_partition", "_offset", "_topic"]

  # A column without a tag of its own has the database's, which is the strictest: one that comes with a later version of a
  # record is seen by few until it is tagged. Tags go on tables that exist.
  tagged = {
    for entry in flatten([
      for table, columns in var.columns : [
        for class in ["none", "quasi"] : {
          key     = "${table}/${class}"
          table   = table
          class   = class
          columns = sort(concat([for column, of in columns : column if of == class], class == "none" ? local.own_columns : []))
        }
      ]
    ]) : entry.key => entry if var.tables_exist && length(entry.columns) > 0
  }

  opted_in = {
    for pair in setproduct(keys(var.readers), var.databases) : "${pair[1]}/${pair[0]}" => { reader = pair[0], database = pair[1] }
  }
}

resource "aws_lakeformation_lf_tag" "pii" {
  key    = local.tag
  values = ["none", "quasi", "direct"]
}

resource "aws_lakeformation_resource_lf_tags" "database" {
  for_each = var.databases

  database {
    name = each.value
  }

  lf_tag {
    key   = aws_lakeformation_lf_tag.pii.key
    value = "direct"
  }
}

resource "aws_lakeformation_resource_lf_tags" "columns" {
  for_each = local.tagged

  table_with_columns {
    database_name = split(".", each.value.table)[0]
    name          = split(".", each.value.table)[1]
    column_names  = each.value.columns
  }

  lf_tag {
    key   = aws_lakeformation_lf_tag.pii.key
    value = each.value.class
  }
}

resource "aws_lakeformation_resource" "tables" {
  arn                   = "${var.bucket_arn}/${var.prefix}"
  role_arn              = aws_iam_role.data.arn
  hybrid_access_enabled = true

  depends_on = [aws_iam_role_policy.data]
}

resource "aws_lakeformation_permissions" "describe" {
  for_each = var.readers

  principal   = each.key
  permissions = ["DESCRIBE"]

  lf_tag_policy {
    resource_type = "DATABASE"

    expression {
      key    = aws_lakeformation_lf_tag.pii.key
      values = ["direct"]
    }
  }
}

resource "aws_lakeformation_permissions" "select" {
  for_each = var.readers

  principal   = each.key
  permissions = ["DESCRIBE", "SELECT"]

  lf_tag_policy {
    resource_type = "TABLE"

    expression {
      key    = aws_lakeformation_lf_tag.pii.key
      values = each.value
    }
  }
}

# Readers opt in by database, not by tag: the provider takes no tag expression here.
resource "aws_lakeformation_opt_in" "database" {
  for_each = local.opted_in

  principal {
    data_lake_principal_identifier = each.value.reader
  }

  resource_data {
    database {
      name = each.value.database
    }
  }
}

resource "aws_lakeformation_opt_in" "tables" {
  for_each = local.opted_in

  principal {
    data_lake_principal_identifier = each.value.reader
  }

  resource_data {
    table {
      database_name = each.value.database
      wildcard      = true
    }
  }
}

# Lake Formation reads the files with this role, and hands readers credentials for what they may see.
resource "aws_iam_role" "data" {
  name_prefix = "${var.name}-lake-formation-"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lakeformation.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.account.id } }
    }]
  })
}

resource "aws_iam_role_policy" "data" {
  name = "read-tables"
  role = aws_iam_role.data.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = "s3:GetObject", Resource = "${var.bucket_arn}/${var.prefix}/*" },
      { Effect = "Allow", Action = "s3:ListBucket", Resource = var.bucket_arn, Condition = { StringLike = { "s3:prefix" = "${var.prefix}/*" } } },
      { Effect = "Allow", Action = "kms:Decrypt", Resource = var.key_arn },
    ]
  })
}
