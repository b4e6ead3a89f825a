mock_provider "aws" {
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/headgate-lake-formation" }
  }
}

variables {
  name       = "headgate"
  account    = { id = "123456789012", region = "eu-central-1", partition = "aws" }
  bucket_arn = "arn:aws:s3:::headgate-lake-123456789012-eu-central-1"
  prefix     = "tables"
  databases  = ["lakehouse"]
  key_arn    = "arn:aws:kms:eu-central-1:123456789012:key/lake"
  columns    = { "lakehouse.enriched_events" = { event_id = "none", payload = "direct", country = "quasi" } }
  readers    = { "arn:aws:iam::123456789012:role/analyst" = ["none", "quasi"] }
}

run "before_the_tables_exist_no_column_is_tagged" {
  command = plan

  assert {
    condition     = length(aws_lakeformation_resource_lf_tags.columns) == 0
    error_message = "A tag on a table that is not there fails."
  }

  assert {
    condition     = aws_lakeformation_lf_tag.pii.values == toset(["none", "quasi", "direct"])
    error_message = "The tag has a value for each class."
  }
}

run "a_column_is_direct_until_it_is_tagged" {
  command = plan

  variables {
    tables_exist = true
  }

  assert {
    condition     = one(aws_lakeformation_resource_lf_tags.database["lakehouse"].lf_tag).value == "direct"
    error_message = "A new column is for few until somebody says otherwise."
  }

  assert {
    condition     = keys(aws_lakeformation_resource_lf_tags.columns) == ["lakehouse.enriched_events/none", "lakehouse.enriched_events/quasi"]
    error_message = "Direct columns have the database's tag."
  }

  assert {
    condition     = one(aws_lakeformation_resource_lf_tags.columns["lakehouse.enriched_events/none"].table_with_columns).column_names == toset(["event_id", "_ingested_at", "_kafka_partition", "_offset", "_topic"])
    error_message = "What is not personal, and what the writer adds."
  }
}

run "a_reader_sees_its_classes_and_changes_nothing" {
  command = plan

  assert {
    condition     = one(one(aws_lakeformation_permissions.select["arn:aws:iam::123456789012:role/analyst"].lf_tag_policy).expression).values == toset(["none", "quasi"])
    error_message = "The reader sees what it was given."
  }

  assert {
    condition     = toset(aws_lakeformation_permissions.select["arn:aws:iam::123456789012:role/analyst"].permissions) == toset(["DESCRIBE", "SELECT"])
    error_message = "Readers read."
  }
}

run "services_keep_their_roles" {
  command = plan

  assert {
    condition     = aws_lakeformation_resource.tables.hybrid_access_enabled
    error_message = "Without hybrid access the writer would lose its tables."
  }
}

run "a_class_that_does_not_exist_is_refused" {
  command = plan

  variables {
    readers = { "arn:aws:iam::123456789012:role/analyst" = ["none", "public"] }
  }

  expect_failures = [var.readers]
}
