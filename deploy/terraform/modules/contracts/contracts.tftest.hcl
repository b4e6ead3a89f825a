variables {
  directory = "../../../../schemas"
}

run "a_topic_says_who_writes_and_reads_it" {
  command = plan

  assert {
    condition     = contains(output.services["producer"].produces, "raw-events")
    error_message = "The producer writes raw-events, and the contract's reader does not say so."
  }

  assert {
    condition     = contains(output.services["enricher"].consumes, "raw-events") && contains(output.services["enricher"].produces, "enriched-events")
    error_message = "The enricher reads raw-events and writes enriched-events."
  }

  assert {
    condition     = !contains(output.services["producer"].produces, "enriched-events")
    error_message = "Nobody let the producer write enriched-events."
  }
}

run "a_column_is_as_personal_as_what_is_inside_it" {
  command = plan

  assert {
    condition     = output.columns["lakehouse.enriched_events"].payload == "direct"
    error_message = "payload holds the user's id, which is direct."
  }

  assert {
    condition     = output.columns["lakehouse.enriched_events"].event_id == "none"
    error_message = "event_id is not personal."
  }
}

run "tables_are_in_their_namespace" {
  command = plan

  assert {
    condition     = output.namespaces == toset(["lakehouse"])
    error_message = "All tables are in the namespace lakehouse."
  }
}

run "a_folder_without_topics_is_refused" {
  command = plan

  variables {
    directory = "."
  }

  expect_failures = [var.directory]
}
