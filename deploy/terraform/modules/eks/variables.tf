variable "name" {
  description = "The cluster's name."
  type        = string
}

variable "partition" {
  description = "AWS partition: aws, aws-us-gov, ..."
  type        = string
}

variable "kubernetes_version" {
  description = "Minor version of Kubernetes; one in standard support, since the cluster is upgraded rather than kept in paid extended support."
  type        = string
  default     = "1.35"
  nullable    = false

  validation {
    condition     = can(regex("^1\\.[0-9]{2}$", var.kubernetes_version))
    error_message = "Give a minor version such as 1.35."
  }
}

variable "subnet_ids" {
  description = "Private subnets of the control plane's interfaces and of the nodes, in two zones or more."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "EKS needs subnets in two zones or more."
  }
}

variable "api_public_cidrs" {
  description = "Addresses that may reach the Kubernetes API from outside of the VPC; none closes it to all but the VPC."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.api_public_cidrs : can(cidrhost(cidr, 0)) && try(tonumber(split("/", cidr)[1]) >= 24, false)])
    error_message = "Name networks of /24 or smaller, such as the office's 203.0.113.7/32: the API is not for the whole internet."
  }
}

variable "admin_role_arns" {
  description = "IAM roles that administer the cluster. Nobody else has access, whoever created it included."
  type        = set(string)

  validation {
    condition     = length(var.admin_role_arns) > 0 && alltrue([for arn in var.admin_role_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/", arn))])
    error_message = "Name at least one IAM role by its ARN: without one nobody can reach the cluster."
  }
}

variable "architecture" {
  description = "Processors of the nodes, and so of the images: arm64 (Graviton) or x86_64."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "Give arm64 or x86_64."
  }
}

variable "instance_types" {
  description = "Instance types of the nodes, of the architecture named."
  type        = list(string)
  default     = ["m7g.large"]
  nullable    = false

  validation {
    condition     = length(var.instance_types) > 0
    error_message = "Name at least one instance type."
  }
}

variable "nodes" {
  description = "How many nodes: min, desired and max. Nothing here adds nodes by itself."
  type        = object({ min = number, desired = number, max = number })
  default     = { min = 3, desired = 3, max = 6 }
  nullable    = false

  validation {
    condition     = var.nodes.min >= 2 && var.nodes.min <= var.nodes.desired && var.nodes.desired <= var.nodes.max
    error_message = "Give 2 <= min <= desired <= max: with one node, losing it stops everything."
  }
}

variable "node_disk_gib" {
  description = "GiB of a node's disk: images, logs, and state that services spill."
  type        = number
  default     = 50

  validation {
    condition     = var.node_disk_gib >= 20
    error_message = "A node's system and images need 20 GiB."
  }
}

variable "instance_tags" {
  description = "Tags of instances, volumes and interfaces of the nodes."
  type        = map(string)
  default     = {}
}

variable "key_arn" {
  description = "ARN of the key that encrypts Kubernetes secrets."
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
