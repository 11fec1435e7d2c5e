--SQL
--********************************************************************--
--Author: somebody
--********************************************************************--
blink.miniBatch.allowLatencyMs=5000
blink.miniBatch.size=20000      -- rows
blink.job.timeZone=Asia/Shanghai
blink.miniBatch.join.enabled=true
CREATE FUNCTION P AS 'udfs.row_change.parse_user';

create table s (x varbinary, ts timestamp_ltz(3) metadata from 'timestamp',
  watermark wk for ts as withoffset(ts, 5000))
with (type='metaq', topic='shop', consumerGroup='CID_x', startTime='20260131 08:00:00', tag='u', pullIntervalMs='100');

create table o (user_id bigint, n bigint, primary key (user_id)) with (type = 'rocksdb');

insert into o
select user_id, count(*) from s, lateral table(P(x)) as T(user_id, city) group by user_id
ON CONFLICT DO DEDUPLICATE
