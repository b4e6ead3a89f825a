"""The same events decided by other means, each as a small model on list prices (docs/cost.md says what each lacks)."""
