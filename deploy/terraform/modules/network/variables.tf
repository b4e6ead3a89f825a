variable "name" {
  description = "The stack's name; what is made here is named by it."
  type        = string
}

variable "account" {
  description = "The account it is made in: id, region and partition (aws, aws-us-gov, ...)."
  type        = object({ id = string, region = string, partition = string })
}

variable "zones" {
  description = "Names of three availability zones; named, since which the region offers first may change."
  type        = list(string)

  validation {
    condition     = length(var.zones) == 3 && length(distinct(var.zones)) == 3
    error_message = "Name three different zones, such as eu-central-1a, eu-central-1b and eu-central-1c."
  }
}

variable "cidr" {
  description = "Addresses of the VPC. Its three subnets take an eighth each; a pod takes an address of its own."
  type        = string
  default     = "10.64.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && try(tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 20, false)
    error_message = "Give an IPv4 range between /16 and /20, such as 10.64.0.0/16."
  }
}

variable "interface_endpoints" {
  description = "AWS services that are reached by an interface endpoint, by the last part of the endpoint's name. Each costs by the hour and zone."
  type        = set(string)
  default     = ["bedrock-runtime", "ec2", "ecr.api", "ecr.dkr", "eks", "eks-auth", "glue", "logs", "sts"]

  validation {
    condition     = length(setsubtract(["bedrock-runtime", "ec2", "ecr.api", "ecr.dkr", "eks-auth", "glue", "sts"], var.interface_endpoints)) == 0
    error_message = "Nodes, pods and services need bedrock-runtime, ec2, ecr.api, ecr.dkr, eks-auth, glue and sts: there is no other way out of the VPC."
  }
}

variable "logs_key_arn" {
  description = "ARN of the key that encrypts log groups."
  type        = string
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
}
