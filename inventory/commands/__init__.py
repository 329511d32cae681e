"""The commands, one module a topic; each adds its own to the app in `register`."""
