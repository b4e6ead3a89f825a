output "topics" {
  description = "Names of all topics."
  value       = sort([for topic in local.topics : topic.topic])
}

output "services" {
  description = "For each service that a contract names: the topics it writes (produces) and those it reads (consumes)."
  value = {
    for service in local.services : service => {
      produces = sort([for topic in local.topics : topic.topic if contains(topic.producers, service)])
      consumes = sort([for topic in local.topics : topic.topic if contains(topic.consumers, service)])
    }
  }
}

output "namespaces" {
  description = "Namespaces of the tables; Glue calls them databases."
  value       = toset([for table in keys(local.stored) : split(".", table)[0]])
}

output "columns" {
  description = "For each table its columns by how personal they are: none, quasi or direct, the most personal field inside deciding."
  value       = local.classes
}
