variable "name" {
  description = "The cluster's name."
  type        = string
}

variable "kafka_version" {
  description = "Version of Kafka as MSK names it; with KRaft."
  type        = string
  default     = "4.1.x.kraft"
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.x\\.kraft$", var.kafka_version))
    error_message = "Give a version with KRaft, such as 4.1.x.kraft."
  }
}

variable "instance_type" {
  description = "Brokers' instance type."
  type        = string
  default     = "kafka.m7g.large"
  nullable    = false

  validation {
    condition     = can(regex("^kafka\\.[a-z0-9]+\\.[a-z0-9]+$", var.instance_type)) && !startswith(var.instance_type, "kafka.t3.")
    error_message = "Give a type such as kafka.m7g.large; kafka.t3 bursts, and stalls when its credits are spent."
  }
}

variable "storage_gib" {
  description = "GiB of each broker's volume at the start."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.storage_gib >= 1 && var.storage_gib <= 16384
    error_message = "A broker's volume has between 1 and 16384 GiB."
  }
}

variable "storage_max_gib" {
  description = "GiB up to which each broker's volume grows by itself at 60 % full; storage_gib or less lets it not grow."
  type        = number
  default     = 1000
  nullable    = false

  validation {
    condition     = var.storage_max_gib <= 16384
    error_message = "A broker's volume has 16384 GiB at most."
  }
}

variable "vpc_id" {
  description = "VPC of the brokers."
  type        = string
}

variable "subnet_ids" {
  description = "Three private subnets, each in a zone of its own."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) == 3
    error_message = "Three brokers with replication 3 and two in sync need three subnets."
  }
}

variable "client_security_group_id" {
  description = "Security group of the clients: that of the EKS cluster's nodes and pods."
  type        = string
}

variable "scram_secret_arns" {
  description = "Secrets (AmazonMSK_...) of users with a password, for programs that cannot sign with IAM; none closes their port. Kafka ACLs say what they may."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.scram_secret_arns : can(regex(":secret:AmazonMSK_", arn))])
    error_message = "MSK takes secrets whose names begin with AmazonMSK_."
  }
}

variable "key_arn" {
  description = "ARN of the key that encrypts the brokers' volumes."
  type        = string
}

variable "logs_key_arn" {
  description = "ARN of the key that encrypts log groups."
  type        = string
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
}
