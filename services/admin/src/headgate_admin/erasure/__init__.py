"""The right to erasure: a person's data out of tables, snapshots and states, and an account of what is left."""
