"""Budgets: what agents and tenants may spend on models, enforced before the spend and shared by all replicas."""
