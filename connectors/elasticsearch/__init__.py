"""Elasticsearch: one document per row, with the key as id, and with our version."""

from connectors.elasticsearch.sink import ElasticsearchSink

__all__ = ["ElasticsearchSink"]
