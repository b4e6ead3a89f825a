variable "name" {
  description = "The stack's name; budgets are named by it."
  type        = string
}

variable "monthly_limit_usd" {
  description = "What everything with the stack's tag may cost a month, US dollars."
  type        = number

  validation {
    condition     = var.monthly_limit_usd > 0
    error_message = "Give a limit above 0."
  }
}

variable "models_monthly_limit_usd" {
  description = "What the account's model calls may cost a month, US dollars."
  type        = number

  validation {
    condition     = var.models_monthly_limit_usd > 0
    error_message = "Give a limit above 0."
  }
}

variable "model_services" {
  description = "Model calls as AWS' bill names them. Models of other companies are on it by names of their own; Cost Explorer shows which."
  type        = list(string)
  default     = ["Amazon Bedrock"]
  nullable    = false

  validation {
    condition     = length(var.model_services) > 0
    error_message = "Name one service at least, such as Amazon Bedrock."
  }
}

variable "tag" {
  description = "The tag of all that belongs to the stack; activate its key as a cost allocation tag once."
  type        = object({ key = string, value = string })
}

variable "topic_arn" {
  description = "ARN of the SNS topic that is told."
  type        = string
}
