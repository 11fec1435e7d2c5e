"""Elasticsearch: one document a row, its id the key, its version ours."""

from connectors.elasticsearch.sink import ElasticsearchSink

__all__ = ["ElasticsearchSink"]
