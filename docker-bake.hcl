# The images, all at once: make images. PYTHON_IMAGE and RUST_IMAGE may name other bases, by digest too.
variable "VERSION" {}
variable "REVISION" {}
variable "PYTHON_IMAGE" {
  default = "python:3.13-slim-bookworm"
}
variable "RUST_IMAGE" {
  default = "rust:1.95-slim-bookworm"
}

group "default" {
  targets = ["producer", "enricher", "processor", "writer", "bedrock-local", "admin", "demo"]
}

target "image" {
  context = "."
  args = {
    VERSION      = VERSION
    REVISION     = REVISION
    PYTHON_IMAGE = PYTHON_IMAGE
  }
  output = ["type=docker"]
}

target "producer" {
  inherits   = ["image"]
  dockerfile = "services/producer/Dockerfile"
  tags       = ["headgate-producer:${VERSION}"]
}

target "enricher" {
  inherits   = ["image"]
  dockerfile = "services/enricher/Dockerfile"
  tags       = ["headgate-enricher:${VERSION}"]
}

target "processor" {
  inherits   = ["image"]
  dockerfile = "services/processor/Dockerfile"
  tags       = ["headgate-processor:${VERSION}"]
  args       = { RUST_IMAGE = RUST_IMAGE }
}

target "writer" {
  inherits   = ["image"]
  dockerfile = "services/writer/Dockerfile"
  tags       = ["headgate-writer:${VERSION}"]
  args       = { RUST_IMAGE = RUST_IMAGE }
}

target "bedrock-local" {
  inherits   = ["image"]
  dockerfile = "services/bedrock-local/Dockerfile"
  tags       = ["headgate-bedrock-local:${VERSION}"]
}

target "admin" {
  inherits   = ["image"]
  dockerfile = "services/admin/Dockerfile"
  tags       = ["headgate-admin:${VERSION}"]
}

target "demo" {
  inherits   = ["image"]
  dockerfile = "deploy/local/Dockerfile"
  tags       = ["headgate-demo:${VERSION}"]
}
