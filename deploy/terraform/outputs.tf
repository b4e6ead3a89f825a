output "helm_values" {
  description = "Values of the Helm chart that only this account knows, as YAML; `make values-eks` writes them to a file."
  value = yamlencode({
    global = { aws = { region = var.region } }

    image = {
      registry = module.ecr.registry
      tag      = regex("(?m)^version = \"([^\"]+)\"$", file("${path.module}/../../services/admin/pyproject.toml"))[0]
    }

    kafka = {
      bootstrapServers = module.msk.bootstrap_servers
      security         = "iam"
    }

    # As docs/catalogs.md has it for Glue.
    catalog = {
      name                 = "glue"
      type                 = "rest"
      uri                  = "https://glue.${var.region}.amazonaws.com/iceberg"
      warehouse            = local.account.id
      "rest.sigv4-enabled" = "true"
      "rest.signing-name"  = "glue"
      "client.region"      = var.region
      "headgate.location"  = module.lakehouse.location
    }
  })
}

output "kubeconfig_command" {
  description = "Command that lets kubectl and helm reach the cluster, for a role that administers it."
  value       = "aws eks update-kubeconfig --region ${var.region} --name ${module.eks.name}"
}

output "image_registry" {
  description = "Host of the container registry that images are pushed to."
  value       = module.ecr.registry
}

output "scram_bootstrap_servers" {
  description = "Addresses of the brokers for users with a password; empty where there are none."
  value       = module.msk.scram_bootstrap_servers
}

output "service_accounts" {
  description = "For each service: the Kubernetes service account that has a role, and the role's ARN."
  value       = module.identity.service_accounts
}

output "alarms_topic_arn" {
  description = "ARN of the SNS topic of alarms and budgets; subscribe whatever wakes people."
  value       = module.observability.topic_arn
}
