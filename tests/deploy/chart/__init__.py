"""What the Helm chart is held against: tests.deploy.helm runs it."""
