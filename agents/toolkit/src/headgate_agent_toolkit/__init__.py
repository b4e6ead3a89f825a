"""What agents have in common: fenced prompts without personal data, forced answers, versions, rules as data."""
