output "registry" {
  description = "Host of the registry."
  value       = split("/", values(aws_ecr_repository.this)[0].repository_url)[0]
}
