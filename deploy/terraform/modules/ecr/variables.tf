variable "repositories" {
  description = "Names of the repositories: the images' names."
  type        = set(string)

  validation {
    condition     = length(var.repositories) > 0 && alltrue([for name in var.repositories : can(regex("^[a-z0-9]+([._/-][a-z0-9]+)*$", name))])
    error_message = "A repository is named in lower case, such as headgate-writer."
  }
}

variable "images_kept" {
  description = "Newest images of a repository that are kept: more than are between the oldest deployment and now."
  type        = number
  default     = 50

  validation {
    condition     = var.images_kept >= 10
    error_message = "Keep ten images or more, or a rollback may find its image gone."
  }
}

variable "key_arn" {
  description = "ARN of the key that encrypts the images."
  type        = string
}
