mock_provider "aws" {
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::headgate-lake-123456789012-eu-central-1" }
  }
}

variables {
  name       = "headgate"
  account    = { id = "123456789012", region = "eu-central-1", partition = "aws" }
  namespaces = ["lakehouse"]
  key_arn    = "arn:aws:kms:eu-central-1:123456789012:key/lake"
}

run "the_bucket_is_private" {
  command = apply

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.restrict_public_buckets,
      aws_s3_bucket_ownership_controls.this.rule[0].object_ownership == "BucketOwnerEnforced",
    ])
    error_message = "No access list and no policy may open the bucket."
  }

  assert {
    condition     = jsondecode(aws_s3_bucket_policy.this.policy).Statement[0].Effect == "Deny" && jsondecode(aws_s3_bucket_policy.this.policy).Statement[0].Condition.Bool["aws:SecureTransport"] == "false"
    error_message = "Requests without TLS are denied."
  }

  assert {
    condition     = !anytrue([for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement.Effect == "Allow"])
    error_message = "The bucket's policy allows nobody: roles say who may."
  }
}

run "files_are_encrypted_and_can_be_brought_back" {
  command = plan

  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default[0].kms_master_key_id == var.key_arn
    error_message = "Files are encrypted with the key."
  }

  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled"
    error_message = "Deleted files stay as versions."
  }

  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.this.rule[0].noncurrent_version_expiration[0].noncurrent_days == 30 && length(aws_s3_bucket_lifecycle_configuration.this.rule[0].expiration[0].expired_object_delete_marker[*]) == 1
    error_message = "Versions go after their time, and nothing else does."
  }

  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.this.rule[0].expiration[0].days == 0
    error_message = "No file of a table may expire by age."
  }
}

run "databases_lie_in_the_bucket" {
  command = apply

  assert {
    condition     = aws_glue_catalog_database.this["lakehouse"].location_uri == "s3://headgate-lake-123456789012-eu-central-1/tables/lakehouse"
    error_message = "Tables of a database go below the prefix that roles are given."
  }
}

run "a_namespace_that_glue_would_change_is_refused" {
  command = plan

  variables {
    namespaces   = ["LakeHouse"]
    deleted_days = 0
  }

  expect_failures = [var.namespaces, var.deleted_days]
}
