"""The whole way: manifests, command, API server, real operator."""
