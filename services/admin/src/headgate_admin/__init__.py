"""Headgate's command line."""
