"""The partition of a key: murmur2, as Kafka's Java clients and librdkafka's ``murmur2_random`` have it."""

_M = 0x5BD1E995
_U32 = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Apache Kafka's 32-bit murmur2 (org.apache.kafka.common.utils.Utils.murmur2), unsigned."""
    length = len(data)
    h = (0x9747B28C ^ length) & _U32
    for i in range(0, length - 3, 4):
        k = int.from_bytes(data[i : i + 4], "little") * _M & _U32
        h = (h * _M ^ ((k ^ k >> 24) * _M)) & _U32
    if tail := data[length & ~3 :]:
        h = (h ^ int.from_bytes(tail, "little")) * _M & _U32
    h = (h ^ h >> 13) * _M & _U32
    return h ^ h >> 15


def partition_of(key: str | bytes, partitions: int) -> int:
    """The partition that a record with this key goes to, of ``partitions``."""
    return (murmur2(key.encode() if isinstance(key, str) else key) & 0x7FFFFFFF) % partitions
