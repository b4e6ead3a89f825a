# The AWS account's side of Headgate: everything that the Helm chart expects to be there.

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

locals {
  account = {
    id        = data.aws_caller_identity.this.account_id
    region    = var.region
    partition = data.aws_partition.this.partition
  }

  tag  = { key = "stack", value = var.name }
  tags = merge(var.tags, { managed-by = "terraform", (local.tag.key) = local.tag.value })

  keys = {
    lake      = { description = "Tables of the lakehouse", services = [], logs = false }
    stream    = { description = "Volumes of the Kafka brokers", services = [], logs = false }
    platform  = { description = "Kubernetes secrets and container images", services = [], logs = false }
    telemetry = { description = "Logs, alarms and budgets", services = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"], logs = true }
  }
}

module "contracts" {
  source = "./modules/contracts"

  directory = var.contracts_directory
}

module "key" {
  source   = "./modules/key"
  for_each = local.keys

  name        = "${var.name}-${each.key}"
  description = each.value.description
  account     = local.account
  services    = each.value.services
  logs        = each.value.logs
}

module "network" {
  source = "./modules/network"

  name               = var.name
  account            = local.account
  zones              = var.zones
  cidr               = var.vpc_cidr
  logs_key_arn       = module.key["telemetry"].arn
  log_retention_days = var.log_retention_days
}

module "eks" {
  source = "./modules/eks"

  name               = var.name
  partition          = local.account.partition
  kubernetes_version = var.kubernetes.version
  subnet_ids         = module.network.subnet_ids
  api_public_cidrs   = var.kubernetes.api_public_cidrs
  admin_role_arns    = var.kubernetes.admin_role_arns
  architecture       = var.kubernetes.architecture
  instance_types     = var.kubernetes.instance_types
  nodes              = var.kubernetes.nodes
  instance_tags      = local.tags
  key_arn            = module.key["platform"].arn
  logs_key_arn       = module.key["telemetry"].arn
  log_retention_days = var.log_retention_days
}

module "msk" {
  source = "./modules/msk"

  name                     = var.name
  kafka_version            = var.kafka.version
  instance_type            = var.kafka.instance_type
  storage_gib              = var.kafka.storage_gib
  storage_max_gib          = var.kafka.storage_max_gib
  vpc_id                   = module.network.vpc_id
  subnet_ids               = module.network.subnet_ids
  client_security_group_id = module.eks.security_group_id
  scram_secret_arns        = var.kafka.scram_secret_arns
  key_arn                  = module.key["stream"].arn
  logs_key_arn             = module.key["telemetry"].arn
  log_retention_days       = var.log_retention_days
}

module "ecr" {
  source = "./modules/ecr"

  repositories = var.repositories
  key_arn      = module.key["platform"].arn
}

module "lakehouse" {
  source = "./modules/lakehouse"

  name       = var.name
  account    = local.account
  namespaces = module.contracts.namespaces
  key_arn    = module.key["lake"].arn
}

module "governance" {
  source = "./modules/governance"
  count  = var.lake_formation == null ? 0 : 1

  name         = var.name
  account      = local.account
  columns      = module.contracts.columns
  tables_exist = var.lake_formation.tables_exist
  readers      = var.lake_formation.readers
  databases    = module.lakehouse.databases
  bucket_arn   = module.lakehouse.bucket_arn
  prefix       = module.lakehouse.prefix
  key_arn      = module.key["lake"].arn
}

module "identity" {
  source = "./modules/identity"

  name              = var.name
  account           = local.account
  cluster_name      = module.eks.name
  topics            = module.contracts.topics
  services          = module.contracts.services
  kafka_cluster_arn = module.msk.arn
  models            = var.models
  guardrail_arns    = var.guardrail_arns

  lake = {
    bucket_arn = module.lakehouse.bucket_arn
    prefix     = module.lakehouse.prefix
    databases  = module.lakehouse.databases
    key_arn    = module.key["lake"].arn
  }
}

module "observability" {
  source = "./modules/observability"

  name          = var.name
  account_id    = local.account.id
  kafka_cluster = module.msk.name
  model_ids     = toset(var.models[*].id)
  bucket        = module.lakehouse.bucket
  bucket_metric = module.lakehouse.prefix
  alarm_emails  = var.alarm_emails
  key_arn       = module.key["telemetry"].arn
}

module "budget" {
  source = "./modules/budget"

  name                     = var.name
  monthly_limit_usd        = var.monthly_limit_usd
  models_monthly_limit_usd = var.models_monthly_limit_usd
  model_services           = var.model_services
  tag                      = local.tag
  topic_arn                = module.observability.topic_arn
}
