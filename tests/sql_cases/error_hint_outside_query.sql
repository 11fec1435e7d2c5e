INSERT INTO t /*+ OPTIONS('sink.parallelism'='9') */ SELECT 1;
