"""Test-wide plugins: the brokers that integration tests run against."""

pytest_plugins = ["headgate_local.fixtures"]
