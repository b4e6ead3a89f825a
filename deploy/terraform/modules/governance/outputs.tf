output "tag" {
  description = "Key of the Lake Formation tag that says how personal a column is."
  value       = aws_lakeformation_lf_tag.pii.key
}
