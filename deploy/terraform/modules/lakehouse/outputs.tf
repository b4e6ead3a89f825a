output "bucket" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.bucket
}

output "bucket_arn" {
  description = "ARN of the bucket."
  value       = aws_s3_bucket.this.arn
}

output "prefix" {
  description = "Prefix of all tables' files, without a slash at its end."
  value       = local.prefix
}

output "location" {
  description = "Where tables are made: each in NAMESPACE/TABLE below it."
  value       = local.location
}

output "databases" {
  description = "Names of the databases in Glue."
  value       = toset(keys(aws_glue_catalog_database.this))
}
