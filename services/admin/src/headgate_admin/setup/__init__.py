"""``headgate setup``: topics, schemas and tables, all there is to make before services start."""
