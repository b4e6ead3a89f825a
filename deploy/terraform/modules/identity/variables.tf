variable "name" {
  description = "The stack's name; roles are NAME-SERVICE."
  type        = string

  validation {
    condition     = length(var.name) <= 40
    error_message = "Role names have 64 characters at most: give a name of 40 or fewer."
  }
}

variable "account" {
  description = "The account it is made in: id, region and partition (aws, aws-us-gov, ...)."
  type        = object({ id = string, region = string, partition = string })
}

variable "cluster_name" {
  description = "Name of the EKS cluster."
  type        = string
}

variable "namespace" {
  description = "Kubernetes namespace of the release."
  type        = string
  default     = "headgate"
}

variable "release" {
  description = "Name of the Helm release; its service accounts are RELEASE-SERVICE."
  type        = string
  default     = "headgate"
}

variable "topics" {
  description = "Names of all topics of the contracts, which the set-up makes."
  type        = list(string)
}

variable "services" {
  description = "For each service that a contract names: the topics it writes (produces) and those it reads (consumes)."
  type        = map(object({ produces = list(string), consumes = list(string) }))

  validation {
    condition     = !contains(keys(var.services), "scaler") && alltrue([for service in values(var.services) : length(service.produces) + length(service.consumes) > 0])
    error_message = "Each service has a topic at least, and none is called scaler: that name is taken."
  }
}

variable "kafka_cluster_arn" {
  description = "ARN of the MSK cluster."
  type        = string
}

variable "scaler" {
  description = "Service account of KEDA's operator, which reads the lag that the chart scales services by; null where nothing does."
  type        = object({ namespace = string, service_account = string })
  default     = { namespace = "keda", service_account = "keda-operator" }
}

variable "lake" {
  description = "Where tables are: ARN of the bucket, prefix of their files, Glue databases, and ARN of the key."
  type        = object({ bucket_arn = string, prefix = string, databases = set(string), key_arn = string })
}

variable "models" {
  description = "Models that the enricher may ask: id of a model, of a regional inference profile (us., eu., ...), or ARN of an application inference profile with the id of its model in base_model_id."
  type        = list(object({ id = string, base_model_id = optional(string) }))

  validation {
    condition     = length(var.models) > 0 && alltrue([for model in var.models : length(regexall("[*?]", model.id)) == 0])
    error_message = "List each model by its id: a wildcard would let any model be paid for."
  }

  validation {
    condition     = alltrue([for model in var.models : model.base_model_id != null if startswith(model.id, "arn:")])
    error_message = "Give base_model_id beside an ARN: Bedrock asks for the right to the model behind it too."
  }
}

variable "guardrail_arns" {
  description = "ARNs of the guardrails that calls pass."
  type        = set(string)
  default     = []
}
