# run.sh MAIN: start one of HBase's servers in the foreground, with the flags of streamjobs/local/hbase.py.
set -eu
opened=""
for name in java.nio sun.nio.ch java.lang jdk.internal.ref java.lang.reflect java.util java.util.concurrent; do
    opened="$opened --add-opens java.base/$name=ALL-UNNAMED"
done
rm -rf /data/zookeeper # sessions of an earlier process: its servers would be taken for alive for two minutes
# shellcheck disable=SC2086 # words on purpose
exec java ${HBASE_HEAP:--Xmx512m} -XX:+UseSerialGC -Djava.net.preferIPv4Stack=true -Djava.awt.headless=true $opened \
    --add-exports java.base/jdk.internal.misc=ALL-UNNAMED \
    -Dorg.apache.hbase.thirdparty.io.netty.tryReflectionSetAccessible=true \
    -cp "/opt/hbase/conf:/opt/hbase/lib/*" "$1" start
