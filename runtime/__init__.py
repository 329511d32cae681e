"""The kernel that every room stands on: settings, Kafka clients, codec, clock, logs, metrics."""
