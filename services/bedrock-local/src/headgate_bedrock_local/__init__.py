"""A local Bedrock Runtime endpoint on the real wire, with fault knobs."""
