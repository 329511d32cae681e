"""What travels on the topics: one module a domain. Times are UTC; money is Decimal."""
