variable "name" {
  description = "The stack's name; the tag is named by it."
  type        = string
}

variable "account" {
  description = "The account it is made in: id, region and partition (aws, aws-us-gov, ...)."
  type        = object({ id = string, region = string, partition = string })
}

variable "columns" {
  description = "For each table (namespace.table) its columns by how personal they are: none, quasi or direct."
  type        = map(map(string))
}

variable "tables_exist" {
  description = "Whether `headgate setup` has made the tables; columns can be tagged only then."
  type        = bool
  default     = false
}

variable "readers" {
  description = "IAM principals that read tables through Lake Formation (Athena, Redshift, EMR), each with the classes of columns it may see."
  type        = map(set(string))

  validation {
    condition     = alltrue([for arn, classes in var.readers : startswith(arn, "arn:") && length(setsubtract(classes, ["none", "quasi", "direct"])) == 0 && contains(classes, "none")])
    error_message = "Name each reader by its ARN, with none and, where it may see them, quasi and direct."
  }
}

variable "databases" {
  description = "Names of the databases in Glue."
  type        = set(string)
}

variable "bucket_arn" {
  description = "ARN of the tables' bucket."
  type        = string
}

variable "prefix" {
  description = "Prefix of all tables' files, without a slash at its end."
  type        = string
}

variable "key_arn" {
  description = "ARN of the key that encrypts the tables' files."
  type        = string
}
