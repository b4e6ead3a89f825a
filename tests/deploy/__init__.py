"""What a deployment is checked by: each module with a ``check`` is one part, run by ``make verify-deploy``."""
