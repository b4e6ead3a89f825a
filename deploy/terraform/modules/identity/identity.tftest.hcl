mock_provider "aws" {
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }
}

variables {
  name         = "headgate"
  account      = { id = "123456789012", region = "eu-central-1", partition = "aws" }
  cluster_name = "headgate"
  topics       = ["enriched-events", "raw-events"]
  services = {
    producer = { produces = ["raw-events"], consumes = [] }
    enricher = { produces = ["enriched-events"], consumes = ["raw-events"] }
    writer   = { produces = [], consumes = ["enriched-events"] }
    admin    = { produces = [], consumes = ["enriched-events"] }
  }
  kafka_cluster_arn = "arn:aws:kafka:eu-central-1:123456789012:cluster/headgate/0a1b2c3d-5"
  lake = {
    bucket_arn = "arn:aws:s3:::lake"
    prefix     = "tables"
    databases  = ["lakehouse"]
    key_arn    = "arn:aws:kms:eu-central-1:123456789012:key/lake"
  }
  models = [{ id = "amazon.nova-micro-v1:0" }, { id = "eu.amazon.nova-lite-v1:0" }]
}

run "a_role_is_for_one_service_account_of_one_cluster" {
  command = apply

  assert {
    condition = jsondecode(aws_iam_role.service["writer"].assume_role_policy).Statement[0].Condition.StringEquals == {
      "aws:RequestTag/eks-cluster-name"           = "headgate"
      "aws:RequestTag/kubernetes-namespace"       = "headgate"
      "aws:RequestTag/kubernetes-service-account" = "headgate-writer"
    }
    error_message = "Only the pods of the service may take the role."
  }

  assert {
    condition     = output.service_accounts["writer"].name == "headgate-writer"
    error_message = "The service account is the chart's."
  }
}

run "the_producer_writes_its_topic_and_does_nothing_else" {
  command = plan

  assert {
    condition     = one([for statement in local.statements["producer"] : statement.Resource if statement.Sid == "Produce"]) == ["arn:aws:kafka:eu-central-1:123456789012:topic/headgate/0a1b2c3d-5/raw-events"]
    error_message = "raw-events and nothing else."
  }

  assert {
    condition     = local.statements["producer"][*].Sid == ["Connect", "Describe", "Produce"]
    error_message = "No group, no transaction, no bucket, no model."
  }
}

run "the_enricher_reads_in_its_group_and_writes_in_its_transactions" {
  command = plan

  assert {
    condition     = one([for statement in local.statements["enricher"] : statement.Resource if statement.Sid == "Consume"]) == ["arn:aws:kafka:eu-central-1:123456789012:topic/headgate/0a1b2c3d-5/raw-events"]
    error_message = "It reads raw-events."
  }

  assert {
    condition     = one([for statement in local.statements["enricher"] : statement.Resource if statement.Sid == "Transactions"]) == ["arn:aws:kafka:eu-central-1:123456789012:transactional-id/headgate/0a1b2c3d-5/enricher-*"]
    error_message = "Its own transactional ids and nobody else's."
  }

  assert {
    condition     = contains(one([for statement in local.statements["enricher"] : statement.Action if statement.Sid == "Connect"]), "kafka-cluster:WriteDataIdempotently")
    error_message = "Who produces does so idempotently."
  }
}

run "who_only_reads_has_no_transactions" {
  command = plan

  assert {
    condition     = !contains(local.statements["writer"][*].Sid, "Transactions") && !contains(local.statements["writer"][*].Sid, "Produce")
    error_message = "A service that writes no topic needs no transactional id."
  }
}

run "only_listed_models_are_asked" {
  command = plan

  assert {
    condition     = one([for statement in local.statements["enricher"] : statement.Resource if statement.Sid == "Models"]) == ["arn:aws:bedrock:eu-central-1::foundation-model/amazon.nova-micro-v1:0"]
    error_message = "The listed model, in this region."
  }

  assert {
    condition     = one([for statement in local.statements["enricher"] : statement.Condition.StringEquals["bedrock:InferenceProfileArn"] if statement.Sid == "ModelsOfProfile0"]) == "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0"
    error_message = "The model behind a profile is asked by way of the profile only."
  }

  assert {
    condition     = one([for statement in local.statements["enricher"] : statement.Resource if statement.Sid == "ModelsOfProfile0"]) == ["arn:aws:bedrock:*::foundation-model/amazon.nova-lite-v1:0"]
    error_message = "A profile's model is the id without its geography."
  }

  assert {
    condition     = alltrue([for service, statements in local.statements : service == "enricher" || !anytrue([for statement in statements : anytrue([for action in statement.Action : startswith(action, "bedrock:")])])])
    error_message = "Nobody but the enricher asks models."
  }
}

run "an_application_profile_is_asked_with_its_model" {
  command = plan

  variables {
    models         = [{ id = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc", base_model_id = "amazon.nova-pro-v1:0" }]
    guardrail_arns = ["arn:aws:bedrock:eu-central-1:123456789012:guardrail/gr1"]
  }

  assert {
    condition     = one([for statement in local.statements["enricher"] : statement.Resource if statement.Sid == "ModelsOfProfile0"]) == ["arn:aws:bedrock:*::foundation-model/amazon.nova-pro-v1:0"]
    error_message = "The model behind the ARN."
  }

  assert {
    condition     = one([for statement in local.statements["enricher"] : toset(statement.Resource) if statement.Sid == "Guardrails"]) == toset(["arn:aws:bedrock:eu-central-1:123456789012:guardrail/gr1"])
    error_message = "The listed guardrail and no other."
  }
}

run "who_reads_tables_cannot_change_them" {
  command = plan

  assert {
    condition     = !anytrue(flatten([for statement in local.statements["query"] : [for action in statement.Action : length(regexall("(Put|Delete|Create|Update|Abort|GenerateDataKey|Write)", action)) > 0]]))
    error_message = "The query service only reads."
  }
}

run "only_the_writer_deletes_files_and_nobody_drops_tables" {
  command = plan

  assert {
    condition     = [for service, statements in local.statements : service if contains(flatten(statements[*].Action), "s3:DeleteObject")] == ["writer"]
    error_message = "Files go by the writer's maintenance alone."
  }

  assert {
    condition     = !contains(flatten([for statements in local.statements : flatten(statements[*].Action)]), "glue:DeleteTable")
    error_message = "Nobody drops a table."
  }
}

run "nothing_is_allowed_by_wildcard" {
  command = plan

  assert {
    condition     = !anytrue(flatten([for statements in local.statements : [for statement in statements : contains(statement.Resource, "*") || anytrue([for action in statement.Action : strcontains(action, "*")])]]))
    error_message = "No statement names all actions or all resources."
  }
}

run "only_the_set_up_makes_topics" {
  command = plan

  assert {
    condition     = [for service, statements in local.statements : service if contains(flatten(statements[*].Action), "kafka-cluster:AlterTopic")] == ["admin"]
    error_message = "Topics are changed by the set-up."
  }

  assert {
    condition     = one([for statement in local.statements["admin"] : length(statement.Resource) if statement.Sid == "Administration"]) == 2
    error_message = "The topics of the contracts and no others."
  }
}

run "who_scales_sees_lag_and_no_records" {
  command = plan

  assert {
    condition     = length(setintersection(flatten(local.statements["scaler"][*].Action), ["kafka-cluster:ReadData", "kafka-cluster:AlterGroup", "kafka-cluster:WriteData"])) == 0
    error_message = "The scaler only looks."
  }

  assert {
    condition     = aws_eks_pod_identity_association.service["scaler"].namespace == "keda" && aws_eks_pod_identity_association.service["scaler"].service_account == "keda-operator"
    error_message = "KEDA's operator has the role."
  }
}

run "without_a_scaler_there_is_no_role_for_it" {
  command = plan

  variables {
    scaler = null
  }

  assert {
    condition     = !contains(keys(aws_iam_role.service), "scaler")
    error_message = "No role without a scaler."
  }
}

run "wildcard_models_are_refused" {
  command = plan

  variables {
    models = [{ id = "*" }]
  }

  expect_failures = [var.models]
}

run "an_arn_without_its_model_is_refused" {
  command = plan

  variables {
    models = [{ id = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc" }]
  }

  expect_failures = [var.models]
}
