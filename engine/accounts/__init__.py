"""Accounts: registration, passwords, log-ins and their tokens, and what guessing costs."""
