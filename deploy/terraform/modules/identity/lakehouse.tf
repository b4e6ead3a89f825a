# Glue's Iceberg REST endpoint checks a caller's Glue actions, and reads and writes metadata files with the caller's S3 rights.

locals {
  glue  = "arn:${var.account.partition}:glue:${var.account.region}:${var.account.id}"
  files = "${var.lake.bucket_arn}/${var.lake.prefix}/*"

  catalog = concat(["${local.glue}:catalog"], [for name in sort(var.lake.databases) : "${local.glue}:database/${name}"], [for name in sort(var.lake.databases) : "${local.glue}:table/${name}/*"])

  list_files = {
    Sid       = "ListFiles"
    Effect    = "Allow"
    Action    = ["s3:ListBucket"]
    Resource  = [var.lake.bucket_arn]
    Condition = { StringLike = { "s3:prefix" = ["${var.lake.prefix}/*"] } }
  }

  # S3 asks the key on the caller's behalf; nothing is encrypted or decrypted with it otherwise.
  use_key = {
    Sid       = "UseKey"
    Effect    = "Allow"
    Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource  = [var.lake.key_arn]
    Condition = { StringEquals = { "kms:ViaService" = "s3.${var.account.region}.amazonaws.com" } }
  }

  read_catalog = ["glue:GetCatalog", "glue:GetDatabase", "glue:GetDatabases", "glue:GetTable", "glue:GetTables"]

  read_tables = [
    { Sid = "Catalog", Effect = "Allow", Action = local.read_catalog, Resource = local.catalog },
    { Sid = "Files", Effect = "Allow", Action = ["s3:GetObject"], Resource = [local.files] },
    local.list_files,
    merge(local.use_key, { Action = ["kms:Decrypt"] }),
  ]

  # The set-up makes tables and a rollback moves their heads; files go by the writer's maintenance alone.
  make_tables = [
    { Sid = "Catalog", Effect = "Allow", Action = concat(local.read_catalog, ["glue:CreateTable", "glue:UpdateTable"]), Resource = local.catalog },
    { Sid = "Files", Effect = "Allow", Action = ["s3:GetObject", "s3:PutObject"], Resource = [local.files] },
    local.list_files,
    local.use_key,
  ]

  # CreateTable, since the writer makes the table of a contract that is new to it; it never drops one.
  write_tables = [
    { Sid = "Catalog", Effect = "Allow", Action = concat(local.read_catalog, ["glue:CreateTable", "glue:UpdateTable"]), Resource = local.catalog },
    { Sid = "Files", Effect = "Allow", Action = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"], Resource = [local.files] },
    local.list_files,
    local.use_key,
  ]
}
