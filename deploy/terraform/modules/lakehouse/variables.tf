variable "name" {
  description = "The stack's name; the bucket's begins with it."
  type        = string
}

variable "account" {
  description = "The account it is made in: id, region and partition (aws, aws-us-gov, ...)."
  type        = object({ id = string, region = string, partition = string })
}

variable "namespaces" {
  description = "Namespaces of the tables; each is a database in Glue."
  type        = set(string)

  validation {
    condition     = length(var.namespaces) > 0 && alltrue([for name in var.namespaces : can(regex("^[a-z_][a-z0-9_]*$", name))])
    error_message = "A namespace has lower case letters, digits and underscores."
  }
}

variable "deleted_days" {
  description = "Days that deleted and overwritten files can be brought back; they are paid for as long."
  type        = number
  default     = 30

  validation {
    condition     = var.deleted_days >= 1
    error_message = "Give one day or more."
  }
}

variable "key_arn" {
  description = "ARN of the key that encrypts the tables' files."
  type        = string
}
