# Reads the contracts; makes nothing. Who may write and read which topic, and which columns are personal, is said there once.

locals {
  topics = [
    for file in fileset(var.directory, "topics/*.yaml") : yamldecode(file("${var.directory}/${file}"))
  ]

  services = toset(flatten([for topic in local.topics : concat(topic.producers, topic.consumers)]))

  # A table's topics have one record and one policy, so any of them tells its columns.
  stored = { for topic in local.topics : topic.table.name => topic... if can(topic.table.name) }
  records = {
    for table, topics in local.stored : table => jsondecode(file(format(
      "%s/avro/%s.v%d.avsc", var.directory, topics[0].record,
      max([
        for file in fileset(var.directory, "avro/${topics[0].record}.v*.avsc") : tonumber(regex("\\.v(\\d+)\\.avsc$", file)[0])
      ]...)
    )))
  }

  # A column is as personal as the most personal field inside it; the tag is looked for in its text, for types nest to any depth.
  # A field that its contract drops is no column.
  classes = {
    for table, record in local.records : table => {
      for field in record.fields : field.name => (
        strcontains(jsonencode(field), "\"pii\":\"direct\"") ? "direct" :
        strcontains(jsonencode(field), "\"pii\":\"quasi\"") ? "quasi" : "none"
      ) if try(local.stored[table][0].table.pii[field.pii], "keep") != "drop"
    }
  }
}
