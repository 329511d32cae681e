"""Do the topics, PostgreSQL and ClickHouse agree? And would the rules decide the same again?"""
