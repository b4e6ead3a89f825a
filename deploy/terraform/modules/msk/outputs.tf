output "arn" {
  description = "ARN of the cluster."
  value       = aws_msk_cluster.this.arn
}

output "name" {
  description = "Name of the cluster, as CloudWatch has it."
  value       = aws_msk_cluster.this.cluster_name
}

output "bootstrap_servers" {
  description = "Addresses of the brokers for TLS with IAM."
  value       = aws_msk_cluster.this.bootstrap_brokers_sasl_iam
}

output "scram_bootstrap_servers" {
  description = "Addresses of the brokers for TLS with SCRAM; empty where no user has a password."
  value       = aws_msk_cluster.this.bootstrap_brokers_sasl_scram
}
