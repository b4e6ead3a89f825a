variable "name" {
  description = "The stack's name; alarms are named by it."
  type        = string
}

variable "account_id" {
  description = "Id of the account."
  type        = string
}

variable "kafka_cluster" {
  description = "Name of the MSK cluster, of three brokers."
  type        = string
}

variable "model_ids" {
  description = "Ids of the models and inference profiles to watch."
  type        = set(string)
}

variable "model_failures_per_minute" {
  description = "Throttled or failed calls of a model in a minute above which three minutes in five raise the alarm."
  type        = number
  default     = 20

  validation {
    condition     = var.model_failures_per_minute >= 1
    error_message = "Give one or more: a throttled call now and then is what retries are for."
  }
}

variable "bucket" {
  description = "Name of the tables' bucket."
  type        = string
}

variable "bucket_metric" {
  description = "Id of the bucket's request metrics."
  type        = string
}

variable "alarm_emails" {
  description = "Addresses that alarms and budgets are mailed to; each has to confirm once."
  type        = set(string)

  validation {
    condition     = length(var.alarm_emails) > 0 && alltrue([for address in var.alarm_emails : can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", address))])
    error_message = "Name one mail address at least: an alarm that nobody hears is none."
  }
}

variable "key_arn" {
  description = "ARN of the key that encrypts what the alarms say."
  type        = string
}
