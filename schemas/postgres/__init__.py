"""PostgreSQL: numbered migrations (3NF) and named queries."""
