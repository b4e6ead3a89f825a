# The bucket of the tables, and their databases in Glue. Tables are made by `headgate setup`, from the contracts.

locals {
  # Tables lie below a prefix, so that roles are given that and not the bucket.
  location = "s3://${aws_s3_bucket.this.bucket}/${local.prefix}"
  prefix   = "tables"
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:who reads and writes which object is said by CloudTrail's data events, which are the account's to keep
  #checkov:skip=CKV2_AWS_62:nothing waits for an object; what is new is told by the tables' snapshots
  #checkov:skip=CKV_AWS_144:a copy in another region is a decision about recovery and residence of data, and the versions are the one about mistakes
  bucket = "${var.name}-lake-${var.account.id}-${var.account.region}"
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket = aws_s3_bucket.this.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.key_arn
    }
  }
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

# The writer deletes files that no snapshot needs any more; what it deleted by mistake can be brought back for this long.
resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "deleted-versions"
    status = "Enabled"
    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.deleted_days
    }

    expiration {
      expired_object_delete_marker = true
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "NoOtherKey"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:PutObject"
        Resource  = "${aws_s3_bucket.this.arn}/*"
        Condition = {
          StringNotEquals = { "s3:x-amz-server-side-encryption-aws-kms-key-id" = var.key_arn }
          Null            = { "s3:x-amz-server-side-encryption-aws-kms-key-id" = "false" }
        }
      },
    ]
  })

  depends_on = [aws_s3_bucket_public_access_block.this]
}

# Without this CloudWatch counts no errors of requests.
resource "aws_s3_bucket_metric" "tables" {
  bucket = aws_s3_bucket.this.id
  name   = local.prefix

  filter {
    prefix = "${local.prefix}/"
  }
}

resource "aws_glue_catalog_database" "this" {
  for_each = var.namespaces

  name         = each.value
  description  = "Tables of the stack ${var.name}"
  location_uri = "${local.location}/${each.value}"
}
