"""OpenLineage of the writer's commits; imported only where a transport is configured."""
