"""The contract of a broker, and connections to Kafka."""
