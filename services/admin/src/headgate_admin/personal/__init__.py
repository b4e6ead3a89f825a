"""Where personal data goes, worked out from the contracts."""
