"""What was measured, as values, tables, JSON and pages."""
