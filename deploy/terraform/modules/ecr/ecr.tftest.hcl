mock_provider "aws" {
  mock_resource "aws_ecr_repository" {
    defaults = { repository_url = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/headgate-writer" }
  }
}

variables {
  repositories = ["headgate-writer", "headgate-enricher"]
  key_arn      = "arn:aws:kms:eu-central-1:123456789012:key/platform"
}

run "a_tag_is_for_good_and_each_push_is_scanned" {
  command = apply

  assert {
    condition = alltrue([
      for repository in aws_ecr_repository.this :
      repository.image_tag_mutability == "IMMUTABLE" && repository.image_scanning_configuration[0].scan_on_push && repository.encryption_configuration[0].kms_key == var.key_arn
    ])
    error_message = "Immutable, scanned, encrypted with the key."
  }

  assert {
    condition     = output.registry == "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
    error_message = "The registry is the host of the repositories."
  }
}

run "images_in_use_are_not_expired_by_age" {
  command = plan

  assert {
    condition     = alltrue([for policy in aws_ecr_lifecycle_policy.this : jsondecode(policy.policy).rules[0].selection.tagStatus == "untagged" && jsondecode(policy.policy).rules[1].selection.countType == "imageCountMoreThan"])
    error_message = "By age go only images without a tag."
  }
}

run "keeping_too_few_images_is_refused" {
  command = plan

  variables {
    repositories = []
    images_kept  = 1
  }

  expect_failures = [var.repositories, var.images_kept]
}
