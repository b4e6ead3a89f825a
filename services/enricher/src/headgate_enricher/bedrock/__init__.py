"""The Bedrock chat models: native async, one pool of connections, one owner of retries, reason codes for what fails."""
