"""The PostgreSQL sink: record -> rows (reading, rows) -> one transaction (store), by sink."""
