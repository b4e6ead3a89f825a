variable "name" {
  description = "The key's alias, without alias/."
  type        = string
}

variable "description" {
  description = "What the key encrypts."
  type        = string
}

variable "account" {
  description = "The account it is made in: id, region and partition (aws, aws-us-gov, ...)."
  type        = object({ id = string, region = string, partition = string })
}

variable "services" {
  description = "AWS services that use the key by themselves, such as budgets.amazonaws.com; only for resources of this account."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for service in var.services : endswith(service, ".amazonaws.com")])
    error_message = "A service's principal ends in .amazonaws.com."
  }
}

variable "logs" {
  description = "Whether CloudWatch log groups of this account are encrypted with it."
  type        = bool
  default     = false
}
