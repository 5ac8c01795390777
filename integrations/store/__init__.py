"""What do we remember? Tables and queries, on SQLite by default and on PostgreSQL by one setting."""
