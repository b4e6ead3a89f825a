"""Budgets: what agents and tenants may spend on models, enforced before the spend and shared by all replicas."""

from headgate_enricher.budget.limits import Limit
from headgate_enricher.budget.opening import Budget, OpenBudget, check_ledger, ledger_contract, open_budget
from headgate_enricher.budget.settings import BudgetSettings

__all__ = ["Budget", "BudgetSettings", "Limit", "OpenBudget", "check_ledger", "ledger_contract", "open_budget"]
