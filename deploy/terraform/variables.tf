variable "name" {
  description = "The stack's name: of the clusters, and the beginning of all other names."
  type        = string
  default     = "headgate"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}$", var.name))
    error_message = "Give a name of 2 to 20 lower case letters, digits and hyphens: buckets and roles are named by it."
  }
}

variable "region" {
  description = "AWS region of everything. It needs three zones, and the models or profiles."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "Give a region such as eu-central-1."
  }
}

variable "zones" {
  description = "Names of three availability zones of the region, in which EKS, MSK and the instance types are offered."
  type        = list(string)
}

variable "tags" {
  description = "Tags of everything, beside stack and managed-by."
  type        = map(string)
  default     = {}
}

variable "contracts_directory" {
  description = "Folder of the contracts that the services run with, with topics/ and avro/ in it."
  type        = string
  default     = "../../schemas"
}

variable "vpc_cidr" {
  description = "Addresses of the VPC; null takes the network module's."
  type        = string
  default     = null
}

variable "kubernetes" {
  description = "The EKS cluster: who administers it, who may reach its API from outside of the VPC, and its nodes. What is not given is the eks module's to choose."
  type = object({
    admin_role_arns  = set(string)
    api_public_cidrs = optional(set(string), [])
    version          = optional(string)
    architecture     = optional(string)
    instance_types   = optional(list(string))
    nodes            = optional(object({ min = number, desired = number, max = number }))
  })
}

variable "kafka" {
  description = "The MSK cluster. What is not given is the msk module's to choose."
  type = object({
    version           = optional(string)
    instance_type     = optional(string)
    storage_gib       = optional(number)
    storage_max_gib   = optional(number)
    scram_secret_arns = optional(set(string))
  })
  default = {}
}

variable "models" {
  description = "Models that the enricher may ask: id of a model, of a regional inference profile (us., eu., ...), or ARN of an application inference profile with the id of its model in base_model_id."
  type        = list(object({ id = string, base_model_id = optional(string) }))
}

variable "guardrail_arns" {
  description = "ARNs of the guardrails that calls pass."
  type        = set(string)
  default     = []
}

variable "lake_formation" {
  description = "Column permissions by Lake Formation: readers (principals by the classes of columns they may see), and whether the tables exist yet. Null leaves Lake Formation alone."
  type        = object({ readers = map(set(string)), tables_exist = optional(bool, false) })
  default     = null
}

variable "repositories" {
  description = "Repositories of container images. Nodes reach no registry but ECR, so that images of others have to be copied into it too."
  type        = set(string)
  default = [
    "headgate-admin", "headgate-console", "headgate-enricher", "headgate-processor", "headgate-producer", "headgate-query",
    "headgate-writer",
  ]
}

variable "alarm_emails" {
  description = "Addresses that alarms and budgets are mailed to; each has to confirm once."
  type        = set(string)
}

variable "monthly_limit_usd" {
  description = "What everything with the stack's tag may cost a month, US dollars, before people are told."
  type        = number
}

variable "models_monthly_limit_usd" {
  description = "What the account's model calls may cost a month, US dollars, before people are told."
  type        = number
}

variable "model_services" {
  description = "Model calls as AWS' bill names them; null takes Amazon's own."
  type        = list(string)
  default     = null
}

variable "log_retention_days" {
  description = "Days that CloudWatch keeps logs."
  type        = number
  default     = 365

  validation {
    condition     = contains([30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch takes 30, 60, 90, 120, 150, 180, 365, 400, 545 and some more days up to 3653."
  }
}
